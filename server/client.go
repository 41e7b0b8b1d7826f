package server

import "context"

type clientKey struct{}

func withClient(ctx context.Context, client string) context.Context {
	return context.WithValue(ctx, clientKey{}, client)
}

// knownClient is the client of a call that was authenticated already.
func knownClient(ctx context.Context) (client string, known bool) {
	client, known = ctx.Value(clientKey{}).(string)
	return client, known
}

// clientOf is the client whose key came with the call. It panics where no key
// was asked for, since a store takes "" for every client.
func clientOf(ctx context.Context) string {
	client, _ := ctx.Value(clientKey{}).(string)
	if client == "" {
		panic("server: a call without a client")
	}
	return client
}
