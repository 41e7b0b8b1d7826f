package server

import (
	"fmt"
	"strings"
	"unicode/utf8"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/webhook"
)

const (
	defaultMaxRetries = 3
	maxMaxRetries     = 20
	// More than any provider gives; beyond it a number is a slip.
	maxRPM = 100_000_000
	maxTPM = 1_000_000_000_000

	maxProvider      = 64 // characters
	maxModel         = 256
	maxMetadata      = 16
	maxMetadataKey   = 64
	maxMetadataValue = 512
)

// newJob makes the job that a request asks for, or says what is wrong with it.
func newJob(req *promptforgev1.InitJobRequest, webhooks webhook.Allowed) (*job.Job, error) {
	j := &job.Job{
		Provider:   req.GetProvider(),
		Model:      req.GetModel(),
		MaxRetries: defaultMaxRetries,
		Metadata:   req.GetMetadata(),
	}
	for _, check := range []func(*promptforgev1.InitJobRequest, *job.Job) error{
		checkTarget, checkNumbers, checkMetadata, checkContinueFrom,
	} {
		if err := check(req, j); err != nil {
			return nil, err
		}
	}
	return j, checkWebhook(req, j, webhooks)
}

func checkTarget(req *promptforgev1.InitJobRequest, _ *job.Job) error {
	switch {
	case req.GetProvider() == "":
		return badRequest("The field \"provider\" is required, for instance \"openai\".")
	case strings.TrimSpace(req.GetModel()) == "":
		return badRequest("The field \"model\" is required, by the provider's name for it.")
	case utf8.RuneCountInString(req.GetProvider()) > maxProvider:
		return badRequest(fmt.Sprintf("The field \"provider\" is longer than %d characters.", maxProvider))
	case utf8.RuneCountInString(req.GetModel()) > maxModel:
		return badRequest(fmt.Sprintf("The field \"model\" is longer than %d characters.", maxModel))
	}
	return nil
}

func checkNumbers(req *promptforgev1.InitJobRequest, j *job.Job) error {
	if req.MaxRetries != nil {
		j.MaxRetries = int(req.GetMaxRetries())
	}
	if j.MaxRetries < 0 || j.MaxRetries > maxMaxRetries {
		return badRequest(fmt.Sprintf("The field \"max_retries\" must be between 0 and %d.", maxMaxRetries))
	}
	var err error
	if j.RPM, err = bound("rpm", req.Rpm, maxRPM); err != nil {
		return err
	}
	j.TPM, err = bound("tpm", req.Tpm, maxTPM)
	return err
}

// bound is 0 for a bound that was left out.
func bound(name string, given *int64, most int64) (int, error) {
	if given == nil {
		return 0, nil
	}
	if *given < 1 || *given > most {
		return 0, badRequest(fmt.Sprintf("The field %q must be between 1 and %d; leave it out to have the limit learned.", name, most))
	}
	return int(*given), nil
}

func checkMetadata(req *promptforgev1.InitJobRequest, _ *job.Job) error {
	if len(req.GetMetadata()) > maxMetadata {
		return badRequest(fmt.Sprintf("The field \"metadata\" has %d entries; at most %d are kept.", len(req.GetMetadata()), maxMetadata))
	}
	for key, value := range req.GetMetadata() {
		if n := utf8.RuneCountInString(key); n < 1 || n > maxMetadataKey {
			return badRequest(fmt.Sprintf("A key in \"metadata\" must have 1 to %d characters.", maxMetadataKey))
		}
		if utf8.RuneCountInString(value) > maxMetadataValue {
			return badRequest(fmt.Sprintf("A value in \"metadata\" is longer than %d characters.", maxMetadataValue))
		}
	}
	return nil
}

func checkContinueFrom(req *promptforgev1.InitJobRequest, j *job.Job) error {
	if req.ContinueFrom == nil {
		return nil
	}
	id, err := job.ParseID(req.GetContinueFrom())
	if err != nil {
		return notFound()
	}
	j.ContinueFrom = id
	return nil
}

func checkWebhook(req *promptforgev1.InitJobRequest, j *job.Job, allowed webhook.Allowed) error {
	if req.WebhookUrl == nil {
		return nil
	}
	j.WebhookURL = req.GetWebhookUrl()
	if err := allowed.CheckURL(j.WebhookURL); err != nil {
		return badRequest(err.Error())
	}
	return nil
}
