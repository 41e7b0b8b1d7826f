//go:build outside

package e2e

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// browser starts a headless browser of its own.
func browser(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("there is no chromium; run it through make check, which installs it")
	}
	ctx, stop := chromedp.NewExecAllocator(t.Context(), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.ExecPath(path))
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	ctx, stop = context.WithTimeout(ctx, time.Minute)
	t.Cleanup(stop)
	return ctx
}

// TestDocsTryOut asks for a job's status on the API's page, with a key, as a
// person does. PROMPTFORGE_SCREENSHOT names a file for a picture of it.
func TestDocsTryOut(t *testing.T) {
	d := deploy(t, []string{"--latency", "1ms"})
	id := d.submit(d.key, "", promptLines(200, "docs"))
	d.settled(d.key, id)
	ctx := browser(t)

	var mu sync.Mutex
	var asked []string
	if err := chromedp.Listen(ctx, func(event any) {
		if request, ok := event.(*network.EventRequestWillBeSent); ok {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, request.Request.URL)
		}
	}); err != nil {
		t.Fatal(err)
	}
	console := chromedp.Console(ctx)

	const call = "#operations-JobService-GetJobStatus"
	const live = call + " .live-responses-table .response"
	steps := []chromedp.Action[chromedp.Void]{
		chromedp.EmulateViewport(1200, 1000),
		chromedp.Navigate(d.server.url + "/docs"),
		chromedp.WaitVisible(chromedp.CSS(call)),
		chromedp.Click(chromedp.CSS(".auth-wrapper .btn.authorize")),
		chromedp.SendKeys(chromedp.CSS(".modal-ux input[type=text], .modal-ux input[type=password]"), d.key),
		chromedp.Click(chromedp.CSS(".auth-btn-wrapper .btn.authorize")),
		chromedp.Click(chromedp.CSS(".auth-btn-wrapper .btn-done")),
		chromedp.Click(chromedp.CSS(call + " .opblock-summary-control")),
		chromedp.SendKeys(chromedp.CSS(call+" .parameters input"), id),
		chromedp.Click(chromedp.CSS(call + " .btn.execute")),
		chromedp.WaitVisible(chromedp.CSS(live)),
	}
	for i, step := range steps {
		if err := chromedp.Do(ctx, step); err != nil {
			t.Fatalf("step %d: %v", i+1, err)
		}
	}
	answer, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(live)))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(answer, "200") || !strings.Contains(answer, `"status": "COMPLETED"`) || !strings.Contains(answer, `"completed_count": 200`) {
		t.Errorf("the page shows %s", answer)
	}
	if file := os.Getenv("PROMPTFORGE_SCREENSHOT"); file != "" {
		// Nobody is to see a key, not even a dead one.
		hide := chromedp.Evaluate[chromedp.Void](`document.querySelectorAll(".curl-command").forEach(e => e.remove()); window.scrollBy(0, -20)`)
		if err := chromedp.Do(ctx, hide); err != nil {
			t.Fatal(err)
		}
		picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, picture, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	mu.Lock()
	defer mu.Unlock()
	if len(asked) < 5 {
		t.Errorf("the browser asked for %v", asked)
	}
	for _, u := range asked {
		if parsed, err := url.Parse(u); err != nil || parsed.Scheme != "data" && !strings.HasPrefix(u, d.server.url) {
			t.Errorf("the page asks elsewhere: %s", u)
		}
	}
	if err := chromedp.Cancel(ctx); err != nil {
		t.Error(err)
	}
	for message, err := range console {
		if err != nil {
			break // the browser has ended
		}
		if message.IsException() || message.Type == "error" {
			t.Errorf("the page's console: %s", message)
		}
	}
}
