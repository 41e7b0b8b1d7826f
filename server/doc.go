// Package server is the service's outside: JobService over gRPC, the same over
// REST through grpc-gateway, signed transfers, health, and the admin socket.
//
// There is one grpc.Server with one chain of interceptors. It serves the gRPC
// port and, in process, the connection that the gateway dials, so that every
// call passes the same recovery, log and authentication, whichever door it
// came in by.
//
// What the service remembers lies in storage; who sends prompts is none of its
// business: server and dispatcher meet in the store alone.
package server
