package provider

// sum adds up token counts; nil where none is told. A count that is none
// (negative, absurd) counts as not told.
func sum(counts ...*float64) *int64 {
	var total int64
	told := false
	for _, n := range counts {
		if n != nil && *n >= 0 && *n < 1e15 {
			total += int64(*n)
			told = true
		}
	}
	if !told {
		return nil
	}
	return &total
}

// addUp sets the total where both its parts are told.
func (a *Answer) addUp() {
	if a.PromptTokens != nil && a.CompletionTokens != nil {
		total := *a.PromptTokens + *a.CompletionTokens
		a.TotalTokens = &total
	}
}
