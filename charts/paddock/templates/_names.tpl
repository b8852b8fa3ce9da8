{{- define "paddock.name" -}}
{{- if contains "paddock" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-paddock" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end -}}
{{- end }}

{{- define "paddock.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- /* Labels that select; what changes with a version must not be among them. */ -}}
{{- define "paddock.selector" -}}
app.kubernetes.io/name: paddock
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component | quote }}
{{- end }}

{{- define "paddock.labels" -}}
{{ include "paddock.podLabels" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service | quote }}
helm.sh/chart: "{{ .root.Chart.Name }}-{{ .root.Chart.Version | replace "+" "_" }}"
{{- end }}

{{- /* Not the chart's version, at whose change nothing needs to restart. */ -}}
{{- define "paddock.podLabels" -}}
{{ include "paddock.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
{{- end }}

{{- /* Namespaces with pools, as a JSON list. */ -}}
{{- define "paddock.namespaces" -}}
{{ .Values.pools.namespaces | default (list .Release.Namespace) | uniq | toJson }}
{{- end }}

{{- /* Namespaces with a lease of the operator's, as a JSON list: one process, or several that stand by, for each. */ -}}
{{- define "paddock.leases" -}}
{{ if .Values.operator.clusterWide }}{{ list .Release.Namespace | toJson }}{{ else }}{{ include "paddock.namespaces" . }}{{ end }}
{{- end }}

{{- define "paddock.keys" -}}
{{ .Values.keys.existingSecret | default (printf "%s-keys" (include "paddock.name" .)) }}
{{- end }}

{{- /* "true" if one of monitoring's three is wanted: `on`. */ -}}
{{- define "paddock.monitored" -}}
{{- if eq (toString .on) "auto" }}{{ .root.Capabilities.APIVersions.Has "monitoring.coreos.com/v1" }}{{ else }}{{ .on }}{{ end -}}
{{- end }}
