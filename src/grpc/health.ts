import type { Server, ServerWritableStream, UntypedServiceImplementation } from '@grpc/grpc-js'
import { HealthImplementation } from 'grpc-health-check'

type Watch = ServerWritableStream<unknown, unknown>

/** The service grpc.health.v1 for the names given; not serving at first. */
export class Health {
  readonly #health: HealthImplementation
  readonly #names: readonly string[]
  readonly #watches = new Set<Watch>()
  #serving = false

  constructor(names: readonly string[]) {
    this.#names = names
    this.#health = new HealthImplementation(Object.fromEntries(names.map((name) => [name, 'NOT_SERVING'])))
  }

  addTo(server: Server): void {
    const remembering: Pick<Server, 'addService'> = {
      addService: (service, implementation) => {
        server.addService(service, { ...implementation, watch: this.#remembering(implementation) })
      },
    }
    this.#health.addToServer(remembering)
  }

  /** Whoever watches is told of a change, and of nothing else. */
  setServing(serving: boolean): void {
    if (serving === this.#serving) return
    this.#serving = serving
    for (const name of this.#names) this.#health.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING')
  }

  /** Ends all watches, which would go on for ever and hold up a drain. */
  end(): void {
    for (const watch of this.#watches) watch.end()
  }

  #remembering({ watch }: UntypedServiceImplementation) {
    return (call: Watch): void => {
      this.#watches.add(call)
      call.on('cancelled', () => this.#watches.delete(call))
      ;(watch as (call: Watch) => void)(call)
    }
  }
}
