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
	kustomized(t, "", pod, 4)
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
func kustomized(t *testing.T, folder string, pod corev1.PodSpec, resources int) {
	t.Helper()
	var k struct {
		Resources       []string
		Images          []struct{ Name string }
		SecretGenerator []struct {
			Name  string
			Files []string
		}
	}
	b, err := os.ReadFile(manifests + folder + "kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, &k); err != nil {
		t.Fatal(err)
	}
	for _, name := range append(k.Resources, k.SecretGenerator[0].Files...) {
		if _, err := os.Stat(manifests + folder + name); err != nil {
			t.Error(err)
		}
	}
	if k.Images[0].Name != pod.Containers[0].Image || k.SecretGenerator[0].Name != pod.Volumes[0].Secret.SecretName || len(k.Resources) != resources {
		t.Errorf("%+v", k)
	}
}

// TestKubernetesReplicas does the same with the manifests of three replicas.
func TestKubernetesReplicas(t *testing.T) {
	var set appsv1.StatefulSet
	var service, peers corev1.Service
	var budget policyv1.PodDisruptionBudget
	var network networkingv1.NetworkPolicy
	manifest(t, "replicas/statefulset.yaml", &set)
	manifest(t, "replicas/service.yaml", &service)
	manifest(t, "replicas/peers.yaml", &peers)
	manifest(t, "replicas/poddisruptionbudget.yaml", &budget)
	manifest(t, "replicas/networkpolicy.yaml", &network)

	labels := set.Spec.Template.Labels
	for name, selector := range map[string]map[string]string{
		"the set": set.Spec.Selector.MatchLabels, "the service": service.Spec.Selector, "the peers": peers.Spec.Selector,
		"the budget": budget.Spec.Selector.MatchLabels, "the policy": network.Spec.PodSelector.MatchLabels,
	} {
		if !maps.Equal(selector, labels) {
			t.Errorf("%s selects %v, pods have %v", name, selector, labels)
		}
	}
	if *set.Spec.Replicas != 3 || set.Spec.ServiceName != peers.Name || peers.Spec.ClusterIP != corev1.ClusterIPNone || !peers.Spec.PublishNotReadyAddresses {
		t.Errorf("replicas %d, service %s, peers %+v", *set.Spec.Replicas, set.Spec.ServiceName, peers.Spec)
	}
	pod := set.Spec.Template.Spec
	if len(set.Spec.VolumeClaimTemplates) != 0 || len(pod.Containers[0].VolumeMounts) != 1 || pod.Containers[0].VolumeMounts[0].Name != pod.Volumes[0].Name {
		t.Errorf("volumes %+v of %+v: replicas keep nothing", pod.Containers[0].VolumeMounts, pod.Volumes)
	}
	asksServers(t, pod.Containers[0])
	kustomized(t, "replicas/", pod, 5)
}

// asksServers starts the binary with the arguments of the container, and finds that it wants
// to reach the servers that they name.
func asksServers(t *testing.T, c corev1.Container) {
	t.Helper()
	config := filepath.Join(t.TempDir(), "pushbridge.yml")
	b, err := os.ReadFile(manifests + "replicas/pushbridge.yml")
	if err != nil {
		t.Fatal(err)
	}
	write(t, config, string(b))
	args := []string{"--web.listen-address=127.0.0.1:0"}
	for _, a := range c.Args {
		if strings.HasPrefix(a, "--storage.nats-url=") {
			a = "--storage.nats-url=127.0.0.1:1"
		}
		args = append(args, strings.NewReplacer("/etc/pushbridge/pushbridge.yml", config, "$(POD_NAME)", "pushbridge-0").Replace(a))
	}
	out, err := exec.CommandContext(t.Context(), pushbridgePath, args...).CombinedOutput()
	if err == nil || strings.Count(string(out), "127.0.0.1:1") < 3 || !strings.Contains(string(out), "connect to NATS at ") {
		t.Errorf("it ends with %v:\n%s", err, out)
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
