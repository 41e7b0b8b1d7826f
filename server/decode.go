package server

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// gRPC answers a message that it cannot decode in words of its own, before any
// interceptor: without a reason, and before the key is checked. So such a
// message is let through to where everything else is refused.

// checked is the service with unary methods that decode behind the interceptors.
func checked(service grpc.ServiceDesc) *grpc.ServiceDesc {
	service.Methods = slices.Clone(service.Methods)
	for i := range service.Methods {
		service.Methods[i].Handler = decodeLate(service.Methods[i].Handler)
	}
	return &service
}

func decodeLate(handle grpc.MethodHandler) grpc.MethodHandler {
	return func(srv any, ctx context.Context, decode func(any) error, chain grpc.UnaryServerInterceptor) (any, error) {
		var a arrival
		return handle(srv, ctx,
			func(message any) error { a.message = message; return decode(&a) },
			func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
				return chain(ctx, req, info, func(ctx context.Context, req any) (any, error) {
					if a.failed != nil {
						return nil, undecodable()
					}
					return next(ctx, req)
				})
			})
	}
}

// arrival is a message on its way in.
type arrival struct {
	message any
	failed  error
}

// arrivalCodec is gRPC's own codec, but that an arrival keeps its failure for
// whoever waits for it.
type arrivalCodec struct{ encoding.CodecV2 }

func newArrivalCodec() arrivalCodec { return arrivalCodec{encoding.GetCodecV2(proto.Name)} }

func (c arrivalCodec) Unmarshal(data mem.BufferSlice, v any) error {
	a, ok := v.(*arrival)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	a.failed = c.CodecV2.Unmarshal(data, a.message)
	return nil
}

// RecvMsg has a reason for a message that cannot be decoded.
func (s *streamWithContext) RecvMsg(m any) error {
	a := &arrival{message: m}
	if err := s.ServerStream.RecvMsg(a); err != nil {
		return err
	}
	if a.failed != nil {
		return undecodable()
	}
	return nil
}

func undecodable() error {
	return badRequest("The request is no message of this method; check that it was made from this service's proto files.")
}
