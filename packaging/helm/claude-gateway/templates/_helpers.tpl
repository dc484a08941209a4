{{- define "gateway.labels" -}}
app.kubernetes.io/name: claude-gateway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "gateway.allLabels" -}}
{{ include "gateway.labels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
{{- define "gateway.name" -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- define "gateway.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "gateway.name" .) }}
{{- end }}
{{- /* How long a pod may take to end: all that it waits for, and a moment. */ -}}
{{- define "gateway.grace" -}}
{{- with .Values.shutdown }}{{ add (int .preStopSeconds) (int .leaveAfter) (int .drainTimeout) 15 }}{{ end }}
{{- end }}
{{- /* What would be a pod that cannot serve, or a surprise later on, is refused now. */ -}}
{{- define "gateway.check" -}}
{{- $sections := dict
  "listen" (list "drain_timeout" "leave_after" "host" "hosts" "port" "remote" "trusted_proxies")
  "shared" (list "secret_file") "network" (list "ca_file") "bedrock" (list "region") }}
{{- range $section, $keys := $sections }}
{{- range $keys }}
{{- if regexMatch (printf "(?m)^\\s*\\[%s\\][^\\[]*^\\s*%s\\s*=" $section .) $.Values.config }}
{{- fail (printf "config sets [%s] %s, which the chart sets itself: use shutdown, hosts, trustedProxies, secret, caConfigMap or region of values.yaml" $section .) }}
{{- end }}
{{- end }}
{{- end }}
{{- if regexMatch "(?m)^\\s*url\\s*=" .Values.config }}
{{- fail "config has the URL of a database, which contains a password: put it into the Secret, as database-url" }}
{{- end }}
{{- $several := or (gt (int .Values.replicas) 1) .Values.autoscaling.enabled }}
{{- if and $several (not .Values.secret.name) }}
{{- fail "several gateways need secret.name: they share a key, a secret and a database (or set replicas=1 and autoscaling.enabled=false)" }}
{{- end }}
{{- if and .Values.serviceMonitor.enabled (not .Values.secret.name) }}
{{- fail "serviceMonitor needs secret.name: /metrics is answered to whoever has gateway.key" }}
{{- end }}
{{- end }}
