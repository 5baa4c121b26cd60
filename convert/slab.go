package convert

// slab hands out short slices of T cut from large blocks, which it takes back
// all at once. A batch needs thousands of label slices that die together: one by
// one they would cost more than the conversion.
type slab[T any] struct {
	free   []T   // rest of the current block
	blocks [][]T // all blocks, of slabBlock elements each
	used   int   // how many of them are handed out from
}

const (
	slabBlock = 2048 // elements of a block
	slabKept  = 64   // blocks that survive a reset, so that one huge push is not remembered for ever
)

// reserve returns room for n elements, their content undefined. It is free
// again unless keep follows.
func (s *slab[T]) reserve(n int) []T {
	if n > slabBlock {
		s.free = make([]T, n) // rare: left to the garbage collector
	}
	if len(s.free) < n {
		s.next()
	}
	return s.free[:n:n]
}

// keep returns the first n reserved elements for good, that is until reset.
func (s *slab[T]) keep(n int) []T {
	out := s.free[:n:n]
	s.free = s.free[n:]
	return out
}

// take is reserve and keep of n elements.
func (s *slab[T]) take(n int) []T {
	s.reserve(n)
	return s.keep(n)
}

func (s *slab[T]) next() {
	if s.used == len(s.blocks) {
		s.blocks = append(s.blocks, make([]T, slabBlock))
	}
	s.free = s.blocks[s.used]
	s.used++
}

// reset takes everything back and forgets what it pointed to.
func (s *slab[T]) reset() {
	for i, b := range s.blocks[:s.used] {
		if i == s.used-1 && len(s.free) < slabBlock {
			b = b[:slabBlock-len(s.free)]
		}
		clear(b)
	}
	if len(s.blocks) > slabKept {
		clear(s.blocks[slabKept:])
		s.blocks = s.blocks[:slabKept]
	}
	s.used, s.free = 0, nil
}
