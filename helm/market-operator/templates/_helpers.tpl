{{- define "market-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* 57 characters: room for the suffixes of the roles and 63 in all. */}}
{{- define "market-operator.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 57 | trimSuffix "-" -}}
{{- end -}}

{{/* Cluster-wide objects carry the namespace, so that two releases of the same name do not share them. */}}
{{- define "market-operator.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "market-operator.fullname" .) -}}
{{- end -}}

{{- define "market-operator.serviceAccountName" -}}
{{- if not (or .Values.serviceAccount.create .Values.serviceAccount.name) -}}
{{- fail "serviceAccount.create is false, so set serviceAccount.name. Otherwise the account `default`, and with it every pod of the namespace, would get the operator's rights" -}}
{{- end -}}
{{- default (include "market-operator.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{/* An image by digest, by tag, or by both. Without either, the tag is the chart's appVersion. */}}
{{- define "market-operator.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- $tag := ternary $image.tag (default $root.Chart.AppVersion $image.tag) (not (empty $image.digest)) -}}
{{- $image.repository }}{{ with $tag }}:{{ . }}{{ end }}{{ with $image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{- define "market-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "market-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The chart's own labels come last, because selectors need them. */}}
{{- define "market-operator.labels" -}}
{{- mustMergeOverwrite (deepCopy .Values.commonLabels) (include "market-operator.ownLabels" . | fromYaml) | toYaml -}}
{{- end -}}

{{- define "market-operator.ownLabels" -}}
{{ include "market-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: market-collector
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* A selector of the served namespaces. */}}
{{- define "market-operator.servedNamespaces" -}}
{{- with .Values.namespaces -}}
matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: {{ toJson . }}}]
{{- else -}}
{}
{{- end -}}
{{- end -}}

{{/* The fields of tenants.allow that do not allow everything, each with its list. */}}
{{- define "market-operator.tenantLimits" -}}
{{- $limits := dict -}}
{{- range $field, $allowed := (.Values.tenants).allow -}}
{{- if kindIs "slice" $allowed -}}
{{- $_ := set $limits $field $allowed -}}
{{- else if not $allowed -}}
{{- $_ := set $limits $field list -}}
{{- end -}}
{{- end -}}
{{- toJson $limits -}}
{{- end -}}

{{/* Labels of every collector's pod. */}}
{{- define "market-operator.collectorLabels" -}}
app.kubernetes.io/managed-by: market-operator
app.kubernetes.io/component: collector
{{- end -}}

{{/* Limits of a scrape, because any pod with a collector's labels is scraped. Without a limit the field is absent. */}}
{{- define "market-operator.scrapeLimits" -}}
{{- with int64 .Values.podMonitor.sampleLimit }}
sampleLimit: {{ . }}
{{- end }}
{{- with int64 .Values.podMonitor.labelLimit }}
labelLimit: {{ . }}
{{- end }}
{{- if not (has .Values.podMonitor.bodySizeLimit (list nil "0")) }}
bodySizeLimit: {{ .Values.podMonitor.bodySizeLimit | quote }}
{{- end }}
{{- end -}}

{{/* The operator's pods, for NetworkPolicies. */}}
{{- define "market-operator.peer" -}}
namespaceSelector:
  matchLabels:
    kubernetes.io/metadata.name: {{ .Release.Namespace }}
podSelector:
  matchLabels: {{- include "market-operator.selectorLabels" . | nindent 4 }}
{{- end -}}

{{/*
Whether a namespace exists and is not being deleted. Roles are left out where it does not, so that one tenant's namespace
cannot make an upgrade fail. Without the API server, as in `helm template` and Argo CD, every namespace counts as existing.
*/}}
{{- define "market-operator.hasNamespace" -}}
{{- $root := index . 0 -}}
{{- if not (lookup "v1" "Namespace" "" $root.Release.Namespace) -}}
true
{{- else if not (dig "metadata" "deletionTimestamp" "" (default (dict "metadata" (dict "deletionTimestamp" "gone")) (lookup "v1" "Namespace" "" (index . 1)))) -}}
true
{{- end -}}
{{- end -}}

{{/* What the operator may do, once for the ClusterRole and for each Role. Nothing here reads a Secret. */}}
{{- define "market-operator.rules" -}}
- apiGroups: [marketcollector.dev]
  resources: [marketcollectors]
  verbs: [get, list, watch]
- apiGroups: [marketcollector.dev]
  resources: [marketcollectors/status]
  verbs: [patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services, configmaps]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end -}}
