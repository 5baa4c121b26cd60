{{- define "pushbridge.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "pushbridge.fullname" -}}
{{- $name := include "pushbridge.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "pushbridge.selector" -}}
app.kubernetes.io/name: {{ include "pushbridge.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "pushbridge.labels" -}}
{{ include "pushbridge.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "pushbridge.secret" -}}
{{- .Values.existingSecret | default (include "pushbridge.fullname" .) }}
{{- end }}

{{- define "pushbridge.scheme" -}}
{{- if hasKey .Values.webConfig "tls_server_config" }}HTTPS{{ end }}
{{- end }}

{{- define "pushbridge.probe" -}}
httpGet:
  path: {{ .path }}
  port: http
  {{- with include "pushbridge.scheme" .root }}
  scheme: {{ . }}
  {{- end }}
{{- end }}
