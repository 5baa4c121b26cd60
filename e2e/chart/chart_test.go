package chart

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

const (
	chartDir  = "../../deploy/chart"
	manifests = "../../deploy/kubernetes/"
)

func load(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// rendered is what a release consists of, by kind.
type rendered struct {
	set     appsv1.StatefulSet
	service corev1.Service
	secret  *corev1.Secret
	budget  *policyv1.PodDisruptionBudget
	network *networkingv1.NetworkPolicy
	monitor map[string]any
	notes   string
}

// render does what helm template does, and reads each object as the type of the API, in
// which a field that does not exist is an error.
func render(t *testing.T, release, values string) (rendered, error) {
	t.Helper()
	var r rendered
	given, err := chartutil.ReadValues([]byte(values))
	if err != nil {
		t.Fatal(err)
	}
	c := load(t)
	all, err := chartutil.ToRenderValues(c, given, chartutil.ReleaseOptions{Name: release, Namespace: "monitoring", IsInstall: true}, chartutil.DefaultCapabilities)
	if err != nil {
		return r, err
	}
	files, err := engine.Engine{Strict: true}.Render(c, all)
	if err != nil {
		return r, err
	}
	for name, text := range files {
		var into any
		switch base := filepath.Base(name); {
		case strings.TrimSpace(text) == "" || base == "_helpers.tpl":
			continue
		case base == "NOTES.txt":
			r.notes = text
			continue
		case base == "statefulset.yaml":
			into = &r.set
		case base == "service.yaml":
			into = &r.service
		case base == "secret.yaml":
			into = &r.secret
		case base == "poddisruptionbudget.yaml":
			into = &r.budget
		case base == "networkpolicy.yaml":
			into = &r.network
		case base == "servicemonitor.yaml": // its type is not one of the API
			into = &r.monitor
		default:
			t.Fatalf("no type for %s", name)
		}
		if err := yaml.UnmarshalStrict([]byte(text), into); err != nil {
			return r, fmt.Errorf("%s: %w\n%s", name, err, text)
		}
	}
	return r, nil
}

func mustRender(t *testing.T, release, values string) rendered {
	t.Helper()
	r, err := render(t, release, values)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestChart renders several sets of values and looks at what they change.
func TestChart(t *testing.T) {
	for _, tt := range []struct {
		name, values string
		check        func(t *testing.T, r rendered)
	}{
		{"none", "", func(t *testing.T, r rendered) {
			if r.monitor != nil {
				t.Errorf("a ServiceMonitor: %v", r.monitor)
			}
		}},
		{"a Secret of one's own", "existingSecret: mine", func(t *testing.T, r rendered) {
			if got := r.set.Spec.Template.Spec.Volumes[0].Secret.SecretName; got != "mine" || r.secret != nil {
				t.Errorf("secret %q, made %v", got, r.secret)
			}
		}},
		{"TLS and passwords", `
webConfig: {tls_server_config: {cert_file: /tls/tls.crt, key_file: /tls/tls.key}}
extraVolumes: [{name: tls, secret: {secretName: tls}}]
extraVolumeMounts: [{name: tls, mountPath: /tls, readOnly: true}]
serviceMonitor: {enabled: true, labels: {release: prometheus}, interval: 30s}
`, func(t *testing.T, r rendered) {
			c := r.set.Spec.Template.Spec.Containers[0]
			if got := c.ReadinessProbe.HTTPGet.Scheme; got != corev1.URISchemeHTTPS {
				t.Errorf("probes by %s", got)
			}
			if !slices.Contains(c.Args, "--web.config.file=/etc/pushbridge-web/web.yml") || !strings.Contains(r.secret.StringData["web.yml"], "cert_file: /tls/tls.crt") {
				t.Errorf("%q %q", c.Args, r.secret.StringData)
			}
			endpoint := r.monitor["spec"].(map[string]any)["endpoints"].([]any)[0].(map[string]any)
			if endpoint["scheme"] != "https" || endpoint["interval"] != "30s" {
				t.Errorf("%v", endpoint)
			}
		}},
		{"scraped, nothing sent", "config: {remote_write: []}\nserviceMonitor: {enabled: true, honorLabels: true}", func(t *testing.T, r rendered) {
			endpoint := r.monitor["spec"].(map[string]any)["endpoints"].([]any)[0].(map[string]any)
			if endpoint["honorLabels"] != true || endpoint["metricRelabelings"] != nil {
				t.Errorf("%v", endpoint)
			}
		}},
		{"everything else", `
image: {repository: example.com/p, tag: "1", pullPolicy: Always}
imagePullSecrets: [{name: pull}]
fullnameOverride: pushes
extraArgs: [--push.ttl=48h]
extraEnv: [{name: TOKEN, valueFrom: {secretKeyRef: {name: s, key: k}}}]
storage: {size: 100Gi, maxBytes: 80GiB, storageClassName: fast, accessModes: [ReadWriteOnce]}
service: {type: LoadBalancer, port: 80, annotations: {a: b}}
networkPolicy: {enabled: false}
podDisruptionBudget: {enabled: true, maxUnavailable: 0}
podAnnotations: {a: b}
podLabels: {team: batch}
nodeSelector: {disk: ssd}
tolerations: [{key: batch, operator: Exists}]
affinity: {nodeAffinity: {}}
priorityClassName: high
resources: {limits: {memory: 4Gi}}
`, func(t *testing.T, r rendered) {
			claim := r.set.Spec.VolumeClaimTemplates[0].Spec
			if r.network != nil || r.set.Name != "pushes" || *claim.StorageClassName != "fast" || claim.Resources.Requests.Storage().String() != "100Gi" ||
				r.budget.Spec.MaxUnavailable.IntValue() != 0 || r.service.Spec.Ports[0].Port != 80 {
				t.Errorf("%+v", r)
			}
			c := r.set.Spec.Template.Spec.Containers[0]
			if c.Image != "example.com/p:1" || c.Args[len(c.Args)-1] != "--push.ttl=48h" || !slices.Contains(c.Args, "--storage.max-bytes=80GiB") {
				t.Errorf("%s %q", c.Image, c.Args)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := mustRender(t, "nightly", tt.values)
			holdsTogether(t, r)
			tt.check(t, r)
		})
	}
}

// holdsTogether looks for what is named in one place and not there in another.
func holdsTogether(t *testing.T, r rendered) {
	t.Helper()
	labels := r.set.Spec.Template.Labels
	selectors := map[string]map[string]string{"the set": r.set.Spec.Selector.MatchLabels, "the service": r.service.Spec.Selector}
	if r.budget != nil {
		selectors["the budget"] = r.budget.Spec.Selector.MatchLabels
	}
	if r.network != nil {
		selectors["the policy"] = r.network.Spec.PodSelector.MatchLabels
	}
	for name, selector := range selectors {
		for k, v := range selector {
			if labels[k] != v || len(selector) < 2 {
				t.Errorf("%s selects %v, pods have %v", name, selector, labels)
			}
		}
	}
	if r.set.Spec.ServiceName != r.service.Name || !strings.Contains(r.notes, r.service.Name+".monitoring.svc") {
		t.Errorf("service %s, set has %s, notes:\n%s", r.service.Name, r.set.Spec.ServiceName, r.notes)
	}
	pod := r.set.Spec.Template.Spec
	volumes := []string{r.set.Spec.VolumeClaimTemplates[0].Name}
	for _, v := range pod.Volumes {
		volumes = append(volumes, v.Name)
	}
	for _, m := range pod.Containers[0].VolumeMounts {
		if !slices.Contains(volumes, m.Name) {
			t.Errorf("no volume %s", m.Name)
		}
	}
	if r.secret != nil && r.secret.StringData["pushbridge.yml"] != "" {
		checkConfig(t, r.secret.StringData["pushbridge.yml"])
	}
}

// checkConfig asks the binary what it thinks of the file in the Secret.
func checkConfig(t *testing.T, text string) {
	t.Helper()
	binary := os.Getenv("PUSHBRIDGE_BINARY")
	if binary == "" {
		binary = filepath.Join(t.TempDir(), "pushbridge")
		build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/pushbridge")
		build.Dir = "../.."
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	file := filepath.Join(t.TempDir(), "pushbridge.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), binary, "check-config", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestChartEqualsManifests compares the chart, as it is, with deploy/kubernetes.
func TestChartEqualsManifests(t *testing.T) {
	r := mustRender(t, "pushbridge", "serviceMonitor: {enabled: true}")
	var set appsv1.StatefulSet
	var service corev1.Service
	var budget policyv1.PodDisruptionBudget
	var network networkingv1.NetworkPolicy
	var monitor map[string]any
	for name, into := range map[string]any{
		"statefulset.yaml": &set, "service.yaml": &service, "poddisruptionbudget.yaml": &budget, "networkpolicy.yaml": &network, "servicemonitor.yaml": &monitor,
	} {
		manifest(t, name, into)
	}
	var k struct {
		Images []struct{ NewName, NewTag string }
	}
	manifest(t, "kustomization.yaml", &k)
	set.Spec.Template.Spec.Containers[0].Image = k.Images[0].NewName + ":" + k.Images[0].NewTag
	for name, pair := range map[string][2]any{
		"StatefulSet": {set, r.set}, "Service": {service, r.service}, "PodDisruptionBudget": {budget, *r.budget},
		"NetworkPolicy": {network, *r.network}, "ServiceMonitor": {monitor, r.monitor},
	} {
		if diff := cmp.Diff(substance(t, pair[0]), substance(t, pair[1])); diff != "" {
			t.Errorf("%s (-manifest +chart):\n%s", name, diff)
		}
	}
	var plain, ours any
	b, err := os.ReadFile(manifests + "pushbridge.yml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, &plain); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(r.secret.StringData["pushbridge.yml"]), &ours); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plain, ours); diff != "" {
		t.Errorf("configuration (-manifest +chart):\n%s", diff)
	}
}

// substance is an object without what every chart has more: labels that tell releases
// apart, and the checksum that restarts pods.
func substance(t *testing.T, object any) any {
	t.Helper()
	b, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := yaml.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	delete(out, "status")
	strip(out)
	return out
}

func strip(v any) {
	switch v := v.(type) {
	case map[string]any:
		maps.DeleteFunc(v, func(key string, _ any) bool {
			return strings.HasPrefix(key, "app.kubernetes.io/") && key != "app.kubernetes.io/name" || key == "helm.sh/chart" || key == "checksum/config"
		})
		for key, inner := range v {
			strip(inner)
			if m, ok := inner.(map[string]any); ok && len(m) == 0 || key == "metadata" && inner == nil {
				delete(v, key)
			}
		}
		if m, ok := v["metadata"].(map[string]any); ok {
			delete(m, "labels") // the manifests have them from the kustomization, or not
		}
	case []any:
		for _, inner := range v {
			strip(inner)
		}
	}
}

func manifest(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(manifests + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// TestChartRefuses what is misspelled or cannot work.
func TestChartRefuses(t *testing.T) {
	for values, want := range map[string]string{
		"replicas: 3":                                "replicas",
		"storage: {sice: 1Gi}":                       "sice",
		"service: {port: http}":                      "/service/port",
		"storage: {accessModes: [ReadOnlyMany]}":     "accessModes",
		"extraArgs: [push.ttl=1h]":                   "extraArgs",
		"podDisruptionBudget: {maxUnavailable: 50%}": "maxUnavailable",
		"config: remote_write":                       "config",
	} {
		if _, err := render(t, "x", values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want one that names %s", values, err, want)
		}
	}
}

var documentedValue = regexp.MustCompile("(?m)^\\| `([A-Za-z.]+)` \\|")

// TestChartValues holds the table of the chart's page to its values, and its version to
// that of the product.
func TestChartValues(t *testing.T) {
	c := load(t)
	page, err := os.ReadFile(chartDir + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range documentedValue.FindAllSubmatch(page, -1) {
		documented = append(documented, string(m[1]))
	}
	slices.Sort(documented)
	if diff := cmp.Diff(leaves("", c.Values), documented); diff != "" {
		t.Errorf("values.yaml and README.md (-values +page):\n%s", diff)
	}
	version, err := os.ReadFile("../../VERSION")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(bytes.TrimSpace(version)); c.Metadata.AppVersion != got {
		t.Errorf("appVersion %s, VERSION %s", c.Metadata.AppVersion, got)
	}
}

// leaves are the names of values, of free maps that of the whole.
func leaves(path string, values map[string]any) (names []string) {
	for key, v := range values {
		name := strings.TrimPrefix(path+"."+key, ".")
		if m, ok := v.(map[string]any); ok && len(m) > 0 && key != "config" && key != "resources" {
			names = append(names, leaves(name, m)...)
		} else {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
