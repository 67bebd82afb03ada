const istioForm = /^spiffe:\/\/([^/]+)\/ns\/([^/]+)\/sa\/([^/]+)$/

/** Istio's own trust domain, which short names leave out. */
const usualTrustDomain = 'cluster.local'

/**
 * Short name of a workload, for people: `shop/web` for `spiffe://cluster.local/ns/shop/sa/web`, `shop/web@example.org` in
 * another trust domain. Other ids stay as they are, so that no two ids have one name.
 */
export function shortPrincipal(principal: string): string {
  const [, trustDomain, namespace, account] = istioForm.exec(principal) ?? []
  if (trustDomain === undefined || namespace === undefined || account === undefined) return principal
  const name = `${namespace}/${account}`
  return trustDomain === usualTrustDomain ? name : `${name}@${trustDomain}`
}
