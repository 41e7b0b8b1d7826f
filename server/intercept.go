package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/server/quota"
)

// interceptor is what every call passes, unary or stream: recovery, log,
// authentication, the quota of requests, and errors made problems. REST's calls
// come through it once, as the gateway's.
type interceptor struct {
	log          *slog.Logger
	authenticate func(ctx context.Context) (client string, err error)
	quotas       *quota.Keeper
	draining     context.Context // ends the streams that need no key
}

// open lists what needs no key.
var open = []string{"/grpc.health.v1.Health/", "/grpc.reflection.v1.ServerReflection/", "/grpc.reflection.v1alpha.ServerReflection/"}

func isOpen(method string) bool {
	for _, prefix := range open {
		if strings.HasPrefix(method, prefix) {
			return true
		}
	}
	return false
}

func (i *interceptor) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	var resp any
	err := i.call(ctx, info.FullMethod, func(ctx context.Context) (err error) {
		resp, err = handler(ctx, req)
		return err
	})
	return resp, err
}

func (i *interceptor) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	return i.call(ss.Context(), info.FullMethod, func(ctx context.Context) error {
		if isOpen(info.FullMethod) {
			// A health watch never ends by itself, and would hold up a stop.
			var cancel context.CancelFunc
			ctx, cancel = context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(i.draining, cancel)()
		}
		return handler(srv, &streamWithContext{ServerStream: ss, ctx: ctx})
	})
}

// streamWithContext hands the handler the context that knows its client.
type streamWithContext struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *streamWithContext) Context() context.Context { return s.ctx }

// call runs one call. Its error is nil or a gRPC status made of a Problem.
func (i *interceptor) call(ctx context.Context, method string, handle func(context.Context) error) (err error) {
	begin := time.Now()
	client := ""
	defer func() {
		if v := recover(); v != nil {
			err = recovered(i.log, method, v)
		}
		err = i.done(ctx, method, client, time.Since(begin), err)
	}()
	if !isOpen(method) {
		if client, err = i.authenticate(ctx); err != nil {
			return err
		}
		if err = i.quotas.Request(ctx, client); err != nil {
			return err
		}
		ctx = withClient(ctx, client)
	}
	return handle(ctx)
}

// done logs the call and returns its error as gRPC sends it.
func (i *interceptor) done(ctx context.Context, method, client string, took time.Duration, err error) error {
	code, level := codes.OK, slog.LevelInfo
	attrs := []slog.Attr{slog.String("method", method), slog.Duration("duration", took)}
	if client != "" {
		attrs = append(attrs, slog.String("client", client))
	}
	var p *problem.Problem
	if err != nil {
		p = problem.From(err)
		code = p.Kind.Code()
		if ctx.Err() == nil && (p.Kind == problem.Internal || p.Kind == problem.Unavailable) {
			level = slog.LevelError
			attrs = append(attrs, slog.Any("cause", p.Cause))
		}
	} else if isOpen(method) {
		level = slog.LevelDebug
	}
	attrs = append(attrs, slog.String("code", code.String()))
	i.log.LogAttrs(ctx, level, "call", attrs...)
	if p == nil {
		return nil
	}
	return p.GRPCStatus().Err()
}

// recovered makes a problem of a panic and logs where it happened. What was
// panicked with is told only where Go itself made it: any other text may hold
// a prompt.
func recovered(log *slog.Logger, method string, v any) error {
	what := fmt.Sprintf("%T", v)
	var goError runtime.Error
	if err, ok := v.(error); ok && errors.As(err, &goError) {
		what = goError.Error()
	}
	log.Error("panic", "method", method, "panic", what, "stack", string(debug.Stack()))
	return problem.New(problem.Internal, "Something went wrong on our side; the request can be repeated.")
}
