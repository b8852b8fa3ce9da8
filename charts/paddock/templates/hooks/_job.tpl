{{- /* A job of one container. `root`, `name`, `hooks`, `args`, `account` for one that asks the
API server, and `keys` for one that asks the orchestrator.
A failed one stays to be looked at; the next run replaces it. Helm from 3.18 on shows what it said. */ -}}
{{- define "paddock.job" -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .name | quote }}
  namespace: {{ .root.Release.Namespace | quote }}
  labels: {{- include "paddock.labels" (dict "root" .root "component" "hook") | nindent 4 }}
  annotations:
    helm.sh/hook: {{ .hooks | quote }}
    helm.sh/hook-weight: "0"
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
    helm.sh/hook-output-log-policy: hook-failed
spec:
  backoffLimit: {{ .retries }}
  activeDeadlineSeconds: {{ .seconds }}
  template:
    metadata:
      labels: {{- include "paddock.podLabels" (dict "root" .root "component" "hook") | nindent 8 }}
    spec:
      restartPolicy: Never
      {{- with .account }}
      serviceAccountName: {{ . | quote }}
      {{- end }}
      automountServiceAccountToken: {{ ne .account "" }}
      {{- include "paddock.pod" .root | nindent 6 }}
      {{- include "paddock.placed" .root.Values.operator | nindent 6 }}
      containers:
        - name: {{ .container | quote }}
          {{- include "paddock.container" .root | nindent 10 }}
          args: {{- toYaml .args | nindent 12 }}
          {{- with .keys }}
          env:
            - name: PADDOCK_API_KEY
              valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: apiKey, optional: true}}
          {{- end }}
          resources:
            requests: {cpu: 50m, memory: 128Mi}
            limits: {memory: 256Mi}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
      volumes:
        - {name: tmp, emptyDir: {sizeLimit: 64Mi}}
{{- end }}

{{- define "paddock.hook" -}}
helm.sh/hook: {{ .hooks | quote }}
helm.sh/hook-weight: "-5"
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
