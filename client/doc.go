// Package client is what a Go caller of PromptForge would write again: a
// connection that looks after the API key, the upload of a reader, the wait for
// a job's end, and its outcomes as an iterator that outlives lost connections.
//
// A job in a few lines:
//
//	c, err := client.Dial("promptforge.example.com:9090", os.Getenv("PROMPTFORGE_API_KEY"))
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	req := &promptforgev1.InitJobRequest{Provider: "openai", Model: "gpt-4o-mini"}
//	for outcome, err := range c.Run(ctx, req, file) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(outcome.GetInt64Id(), outcome.GetResult().GetResult())
//	}
//
// # Errors
//
// What the service refuses is a gRPC status whose message is a sentence for a
// person; [Reason] says which refusal it is. A context that ends is always its
// own error, [context.Canceled] or [context.DeadlineExceeded], never a status.
//
// # Lost connections
//
// A connection that is lost, and a service that answers UNAVAILABLE, are no
// errors but a reason to wait and try again, each time longer ([WithBackoff])
// and at least as long as the service asks for. After some minutes of waiting
// in which nothing came ([WithPatience]) the last failure becomes an error.
// Every other code ends a call at once, and so does a server whose certificate
// is not to be trusted. The calls of [Client.Jobs] are tried once.
package client
