package web

import (
	_ "embed"
	"net/http"
)

// Description is the OpenAPI description of the API, to which the tests hold each
// answer that they get.
//
//go:embed openapi.yaml
var Description []byte

// APIDescription serves it. It belongs at /api/v1/openapi.yaml.
func (h *Handler) APIDescription() http.Handler {
	return apiGet(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		if _, err := w.Write(Description); err != nil {
			h.o.Logger.Debug("api description cut short", "err", err)
		}
	})
}
