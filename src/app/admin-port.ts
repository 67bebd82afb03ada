import { type Admin, startAdmin } from '../telemetry/admin.ts'
import { setGauges } from '../telemetry/gauges.ts'
import { livenessOf, readinessOf, warningsOf } from '../telemetry/health.ts'
import { type Parts, statesOf } from './parts.ts'

/** Opens the port for operators. Throws ADDRESS_IN_USE or LISTEN_REFUSED. */
export function startAdminPort(parts: Parts): Promise<Admin> {
  const { settings, metrics, spool, delivery } = parts
  return startAdmin(settings.admin.host, settings.admin.port, {
    liveness: () => livenessOf(statesOf(parts)),
    readiness: () => readinessOf(statesOf(parts)),
    warnings: () => warningsOf(statesOf(parts)),
    metrics,
    refresh: () => {
      setGauges(metrics, spool.status(), delivery.status(), Date.now())
    },
  })
}
