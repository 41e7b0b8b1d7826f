package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// oneLine folds line breaks and what surrounds them into one space.
func oneLine(s string) string { return strings.Join(strings.FieldsFunc(s, isBreak), " ") }

// longestQuote is how many signs of what a provider said fit beside our own.
const longestQuote = 300

// clipped is the beginning of a text, of at most so many signs.
func clipped(s string, most int) string {
	signs := []rune(s)
	if len(signs) <= most {
		return s
	}
	return string(signs[:most-1]) + "…"
}

func isBreak(r rune) bool { return r == '\n' || r == '\r' }

// number writes a count with commas, such as 12,345.
func number(n int64) string {
	if n < 0 {
		return "-" + number(-n)
	}
	digits := fmt.Sprint(n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// plural is "1 prompt" or "2 prompts".
func plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + one + "s"
}

// isAre is "1 is" or "2 are".
func isAre(n int64) string {
	if n == 1 {
		return "1 is"
	}
	return number(n) + " are"
}

// subject is "1 file is" or "2 files are".
func subject(n int64, one, is, are string) string {
	if n == 1 {
		return plural(n, one) + " " + is
	}
	return plural(n, one) + " " + are
}

// short writes a duration for a person: 850ms, 12s, 3m20s, 2h5m.
func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Round(time.Second)/time.Second))
	case d < time.Hour:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm%02ds", int(d/time.Minute), int(d%time.Minute/time.Second))
	default:
		d = d.Round(time.Minute)
		return fmt.Sprintf("%dh%02dm", int(d/time.Hour), int(d%time.Hour/time.Minute))
	}
}

// quote makes a word safe to paste into a shell.
func quote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=@%+,") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// isTerminal tells whether a person sees w as it is written. A terminal without
// a size, as some job runners have, has no room for a bar.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return false
	}
	width, height, err := term.GetSize(int(f.Fd()))
	return err == nil && width > 0 && height > 0
}
