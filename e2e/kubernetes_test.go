package e2e

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

const manifests = "../deploy/kubernetes/"

// TestKubernetes reads the manifests as the types of the API, in which a field that does
// not exist is an error, and holds what they name to each other and to the binary.
func TestKubernetes(t *testing.T) {
	var set appsv1.StatefulSet
	var service corev1.Service
	var budget policyv1.PodDisruptionBudget
	var network networkingv1.NetworkPolicy
	manifest(t, "statefulset.yaml", &set)
	manifest(t, "service.yaml", &service)
	manifest(t, "poddisruptionbudget.yaml", &budget)
	manifest(t, "networkpolicy.yaml", &network)

	labels := set.Spec.Template.Labels
	for name, selector := range map[string]map[string]string{
		"the set": set.Spec.Selector.MatchLabels, "the service": service.Spec.Selector,
		"the budget": budget.Spec.Selector.MatchLabels, "the policy": network.Spec.PodSelector.MatchLabels,
	} {
		if !maps.Equal(selector, labels) {
			t.Errorf("%s selects %v, pods have %v", name, selector, labels)
		}
	}
	pod := set.Spec.Template.Spec
	c := pod.Containers[0]
	port := c.Ports[0].Name
	for name, got := range map[string]string{
		"the service": service.Spec.Ports[0].TargetPort.String(), "the policy": network.Spec.Ingress[0].Ports[0].Port.String(),
		"startup": c.StartupProbe.HTTPGet.Port.String(), "liveness": c.LivenessProbe.HTTPGet.Port.String(), "readiness": c.ReadinessProbe.HTTPGet.Port.String(),
	} {
		if got != port {
			t.Errorf("%s: port %s, the container has %s", name, got, port)
		}
	}
	volumes := []string{set.Spec.VolumeClaimTemplates[0].Name, pod.Volumes[0].Name}
	for _, m := range c.VolumeMounts {
		if !slices.Contains(volumes, m.Name) {
			t.Errorf("no volume %s", m.Name)
		}
	}
	if *set.Spec.Replicas != 1 || set.Spec.ServiceName != service.Name {
		t.Errorf("replicas %d, service %s", *set.Spec.Replicas, set.Spec.ServiceName)
	}
	runsAs(t, c)
	kustomized(t, pod)
}

// runsAs starts the binary with the arguments of the container, in its folders, and asks
// its probes.
func runsAs(t *testing.T, c corev1.Container) {
	t.Helper()
	storage, config := t.TempDir(), filepath.Join(t.TempDir(), "pushbridge.yml")
	b, err := os.ReadFile(manifests + "pushbridge.yml")
	if err != nil {
		t.Fatal(err)
	}
	write(t, config, string(b))
	if out, err := exec.CommandContext(t.Context(), pushbridgePath, "check-config", config).CombinedOutput(); err != nil {
		t.Errorf("check-config: %v\n%s", err, out)
	}
	var args []string
	for _, a := range c.Args {
		if !strings.HasPrefix(a, "--storage.path=") {
			args = append(args, strings.ReplaceAll(a, "/etc/pushbridge/pushbridge.yml", config))
		}
	}
	g := startPushbridgeIn(t, storage, args...)
	for _, probe := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
		if got := mustGet(t, g.url+probe.HTTPGet.Path); got != "OK" {
			t.Errorf("%s answers %q", probe.HTTPGet.Path, got)
		}
	}
}

// kustomized holds the kustomization to the files that there are, and to what the pod asks
// for.
func kustomized(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	var k struct {
		Resources       []string
		Images          []struct{ Name string }
		SecretGenerator []struct {
			Name  string
			Files []string
		}
	}
	b, err := os.ReadFile(manifests + "kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, &k); err != nil {
		t.Fatal(err)
	}
	for _, name := range append(k.Resources, k.SecretGenerator[0].Files...) {
		if _, err := os.Stat(manifests + name); err != nil {
			t.Error(err)
		}
	}
	if k.Images[0].Name != pod.Containers[0].Image || k.SecretGenerator[0].Name != pod.Volumes[0].Secret.SecretName || len(k.Resources) != 4 {
		t.Errorf("%+v", k)
	}
}

// manifest reads a file strictly.
func manifest(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(manifests + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(b, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
