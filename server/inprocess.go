package server

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// inProcess is the gateway's connection: a call passes the interceptors and its
// method on its caller's goroutine (docs/decisions/0012).
type inProcess struct {
	service any
	chain   grpc.UnaryServerInterceptor
	methods map[string]grpc.MethodHandler // by full name
}

func newInProcess(desc *grpc.ServiceDesc, service any, chain grpc.UnaryServerInterceptor) *inProcess {
	p := &inProcess{service: service, chain: chain, methods: map[string]grpc.MethodHandler{}}
	for _, m := range desc.Methods {
		p.methods["/"+desc.ServiceName+"/"+m.MethodName] = m.Handler
	}
	return p
}

// Invoke makes a call. The request is copied, the answer is not: its maker does
// not keep it.
func (p *inProcess) Invoke(ctx context.Context, method string, args, reply any, _ ...grpc.CallOption) error {
	handle := p.methods[method]
	if handle == nil {
		return status.Error(codes.Unimplemented, "There is no such method.")
	}
	sent, _ := metadata.FromOutgoingContext(ctx)
	resp, err := handle(p.service, metadata.NewIncomingContext(ctx, sent), func(request any) error {
		proto.Merge(request.(proto.Message), args.(proto.Message))
		return nil
	}, p.chain)
	if err != nil {
		return err
	}
	to := reply.(proto.Message).ProtoReflect()
	resp.(proto.Message).ProtoReflect().Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		to.Set(field, v)
		return true
	})
	return nil
}

// NewStream is for routes that no proto file has: events are a handler of their
// own, and files are transfers.
func (p *inProcess) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unimplemented, "REST has no streams.")
}
