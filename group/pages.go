package group

// pageSize is how many values versions of a part share or do not share.
const pageSize = 64

// page is a piece of a value column.
type page [pageSize]uint64

// pagedFrom is how many values a part has at least that is kept in pages.
const pagedFrom = 4 * pageSize

// paged returns the values of p in pages, which are p's own if it has some.
func (p *Part) paged() []*page {
	if p.pages != nil {
		return p.pages
	}
	pages, all := make([]*page, (len(p.Values)+pageSize-1)/pageSize), p.Values
	for i := range pages {
		pages[i] = new(page)
		all = all[copy(pages[i][:], all):]
	}
	return pages
}

// pageValues returns n values from at on.
func pageValues(pages []*page, at, n uint32) []uint64 {
	first, from := pages[at/pageSize], at%pageSize
	if from+n <= pageSize {
		return first[from : from+n : from+n]
	}
	out := append(make([]uint64, 0, n), first[from:]...)
	for at += pageSize - from; uint32(len(out)) < n; at += pageSize {
		out = append(out, pages[at/pageSize][:min(pageSize, n-uint32(len(out)))]...)
	}
	return out
}

// setPageValues sets values from at on. The pages that before has too, if it has any, are
// left alone: others use them.
func setPageValues(pages, before []*page, at uint32, values []uint64) {
	for len(values) > 0 {
		i := at / pageSize
		if before != nil && pages[i] == before[i] {
			own := *before[i]
			pages[i] = &own
		}
		n := copy(pages[i][at%pageSize:], values)
		values, at = values[n:], at+uint32(n)
	}
}
