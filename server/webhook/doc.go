// Package webhook tells whoever a job's client named that the job is settled:
// one signed POST by the rules of Standard Webhooks
// (https://www.standardwebhooks.com), tried again until it is taken or a day is
// over. What is owed stands in the store from the job's settlement on, so no
// crash loses a delivery; one that was taken just before a crash may come twice,
// with the same webhook-id.
//
// Where it goes was chosen by a client, who may not reach through this service
// what only this service can reach: addresses inside are refused, names once
// they are resolved, and no redirect is followed.
package webhook
