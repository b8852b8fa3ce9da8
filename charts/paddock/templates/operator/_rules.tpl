{{- /* What the operator may do; permissions.py asks for the same. It may read no secret by this. A name cannot be
asked for at `create`: the object has none yet. */ -}}
{{- define "paddock.rules.pools" -}}
- {apiGroups: [paddock.dev], resources: [agentdeployments], verbs: [get, list, watch, patch]}
- {apiGroups: [paddock.dev], resources: [agentdeployments/status], verbs: [patch]}
- {apiGroups: [paddock.dev], resources: [agentdeployments/finalizers], verbs: [update]}
- {apiGroups: [paddock.dev], resources: [orchestratorconnections], verbs: [list, watch]}
- {apiGroups: [paddock.dev], resources: [orchestratorconnections/status], verbs: [patch]}
- {apiGroups: [""], resources: [pods], verbs: [get, list, watch, create, patch, delete]}
- {apiGroups: [""], resources: [events], verbs: [create]}
- {apiGroups: [policy], resources: [poddisruptionbudgets], verbs: [list, watch, create, patch]}
- {apiGroups: [apps], resources: [controllerrevisions], verbs: [list, create, delete]}
{{- end }}

{{- define "paddock.rules.nodes" -}}
- {apiGroups: [""], resources: [nodes], verbs: [list, watch]}
{{- end }}

{{- define "paddock.rules.lease" -}}
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create]}
- {apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [paddock-operator], verbs: [get, patch]}
- {apiGroups: [""], resources: [configmaps], verbs: [create]}
- {apiGroups: [""], resources: [configmaps], resourceNames: [paddock-operator-learned], verbs: [get, patch]}
{{- end }}
