package remotewrite

import (
	"github.com/prometheus/prometheus/prompb"

	"github.com/pushbridge/pushbridge/convert"
	"github.com/pushbridge/pushbridge/group"
)

// appendRequest1 appends a WriteRequest of remote write 1.0 that holds series,
// one TimeSeries for each sample, in the order given (rule M1-1). Created
// timestamps have no place in it.
func appendRequest1(dst []byte, series []convert.Series) []byte {
	for i := range series {
		s := &series[i]
		dst = appendLen(dst, 1, sizeSeries1(s))
		if s.Known != nil && s.Known.Symbols == nil && s.Known.Wire != nil {
			dst = append(dst, s.Known.Wire...)
		} else {
			dst = appendLabels1(dst, s.Labels)
		}
		if native(s) {
			dst = appendExemplars1(dst, s.Exemplars)
			dst = histOf(s, 0).append(dst, 4)
			continue
		}
		dst = appendSample(dst, 2, s, 0)
		dst = appendExemplars1(dst, s.Exemplars)
	}
	return dst
}

// native says whether s is a sample of a native histogram.
func native(s *convert.Series) bool { return s.Hist != nil || s.FloatHist != nil }

// sizeSeries1 is the size of the TimeSeries of s. It also serves as the measure
// of a sample when batches are filled: 2.0 says the same in fewer bytes.
func sizeSeries1(s *convert.Series) int {
	var n int
	if s.Known != nil {
		n = s.Known.Size
	} else {
		n = sizeLabels1(s.Labels)
	}
	for i := range s.Exemplars {
		n += sizeLen(3, sizeExemplar1(&s.Exemplars[i]))
	}
	if native(s) {
		x := histOf(s, 0)
		p := x.head()
		return n + sizeLen(4, x.size(&p))
	}
	return n + sizeLen(2, sizeSample(s, 0))
}

// appendLabels1 writes labels as field 1, which both TimeSeries and Exemplar
// have them in.
func appendLabels1(dst []byte, labels []group.Label) []byte {
	for i := range labels {
		l := &labels[i]
		dst = appendLen(dst, 1, sizeLabel1(l))
		dst = appendString(dst, 1, l.Name)
		dst = appendString(dst, 2, l.Value)
	}
	return dst
}

func sizeLabels1(labels []group.Label) int {
	n := 0
	for i := range labels {
		n += sizeLen(1, sizeLabel1(&labels[i]))
	}
	return n
}

func sizeLabel1(l *group.Label) int { return sizeString(1, l.Name) + sizeString(2, l.Value) }

func appendExemplars1(dst []byte, exemplars []convert.Exemplar) []byte {
	for i := range exemplars {
		e := &exemplars[i]
		dst = appendLen(dst, 3, sizeExemplar1(e))
		dst = appendLabels1(dst, e.Labels)
		dst = appendFloat(dst, 2, e.Value)
		dst = appendInt(dst, 3, uint64(e.Time))
	}
	return dst
}

func sizeExemplar1(e *convert.Exemplar) int {
	return sizeLabels1(e.Labels) + sizeFloat(2, e.Value) + sizeInt(3, uint64(e.Time))
}

// appendMetadata1 appends a WriteRequest of remote write 1.0 that holds nothing
// but metadata (rule M1-2).
func appendMetadata1(dst []byte, families []convert.FamilyInfo) []byte {
	for i := range families {
		f := &families[i]
		typ := uint64(metadataType1(f.Type))
		dst = appendLen(dst, 3, sizeInt(1, typ)+sizeString(2, f.Name)+sizeString(4, f.Help)+sizeString(5, f.Unit))
		dst = appendInt(dst, 1, typ)
		dst = appendString(dst, 2, f.Name)
		dst = appendString(dst, 4, f.Help)
		dst = appendString(dst, 5, f.Unit)
	}
	return dst
}

func metadataType1(t group.Type) prompb.MetricMetadata_MetricType {
	switch t {
	case group.Counter:
		return prompb.MetricMetadata_COUNTER
	case group.Gauge:
		return prompb.MetricMetadata_GAUGE
	case group.Summary:
		return prompb.MetricMetadata_SUMMARY
	case group.Histogram:
		return prompb.MetricMetadata_HISTOGRAM
	case group.GaugeHistogram:
		return prompb.MetricMetadata_GAUGEHISTOGRAM
	case group.Untyped:
	}
	return prompb.MetricMetadata_UNKNOWN
}
