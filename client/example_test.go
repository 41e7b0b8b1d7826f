package client_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/promptforge/promptforge/client"
	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
)

// A whole job: every prompt of a file is answered.
func Example() {
	s, err := startService() // elsewhere: promptforge serve
	if err != nil {
		log.Fatal(err)
	}
	defer s.close()

	c, err := client.Dial(s.proxy.addr(), s.key)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	file := strings.NewReader(`{"prompt_id": "sea", "prompt": "Name a sea."}
{"prompt_id": "empty", "prompt": ""}
`)
	req := &promptforgev1.InitJobRequest{Provider: "openai", Model: "gpt-4o-mini"}
	for outcome, err := range c.Run(context.Background(), req, file) {
		switch {
		case err != nil:
			log.Fatal(err)
		case outcome.GetError() != nil:
			fmt.Println(outcome.GetStringId(), "has no answer:", outcome.GetError().GetError())
		default:
			fmt.Println(outcome.GetStringId(), "has an answer:", outcome.GetResult().GetResult() != "")
		}
	}
	// Unordered output:
	// sea has an answer: true
	// empty has no answer: invalid_line
}
