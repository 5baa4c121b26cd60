package web

import (
	"net/http"
	"time"
)

// Replicas are the gateways on one log.
type Replicas struct {
	Here     string    `json:"here"`             // the one that answers
	Epoch    uint64    `json:"epoch"`            // how often one has begun to lead
	Leader   *Leader   `json:"leader,omitempty"` // nil: nobody leads
	Replicas []Replica `json:"replicas"`
}

// Leader is the replica that leads.
type Leader struct {
	ID      string    `json:"id"`
	Address string    `json:"address"`
	Since   time.Time `json:"since"`
}

// Replica is one of them.
type Replica struct {
	ID      string    `json:"id"`
	Address string    `json:"address"`
	Leads   bool      `json:"leads"`
	Head    uint64    `json:"head"`   // the last record that it has folded in
	Behind  uint64    `json:"behind"` // records that there were then and that it had not folded in
	Seen    time.Time `json:"seen"`
}

// APIReplicas tells who leads, and how far each replica is. It belongs at /api/v1/replicas.
func (h *Handler) APIReplicas() http.Handler {
	return apiGet(func(w http.ResponseWriter, _ *http.Request) { h.answer(w, h.o.Process.Replicas()) })
}

// replicaView is a replica on the page.
type replicaView struct {
	Replica
	Here bool
	Seen stampView
}

// replicasView is what the page says of them; nil where a gateway is by itself.
type replicasView struct {
	*Leader
	Epoch    uint64
	Since    stampView
	Replicas []replicaView
}

func (h *site) viewReplicas() *replicasView {
	r := h.o.Process.Replicas()
	if r.Epoch == 0 {
		return nil
	}
	v := &replicasView{Leader: r.Leader, Epoch: r.Epoch}
	if r.Leader != nil {
		v.Since = moment(r.Leader.Since, h.o.Now())
	}
	for _, one := range r.Replicas {
		v.Replicas = append(v.Replicas, replicaView{one, one.ID == r.Here, moment(one.Seen, h.o.Now())})
	}
	return v
}
