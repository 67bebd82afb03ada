import { Command } from 'commander'

export interface ServeFlags {
  readonly config?: string
  readonly policy?: string
  readonly data?: string
  readonly listen?: string
  readonly admin?: string
  readonly kafka?: string
  readonly topic?: string
}

/** `countersign serve`; `serve` runs until the server has stopped. */
export function serveCommand(serve: (flags: ServeFlags) => Promise<void>): Command {
  return new Command('serve')
    .description('Answer Envoy’s checks, receive its access log, and keep the trail. Runs until it is stopped.')
    .option('--config <file>', 'settings in YAML (docs/settings.md lists them all)')
    .option('--policy <dir>', 'policy folder (default: ./policy)')
    .option('--data <dir>', 'folder of spool/, archive/ and keys/ (default: ./countersign-data)')
    .option('--listen <host:port>', 'where Envoy asks, or unix:PATH (default: 127.0.0.1:9191)')
    .option('--admin <host:port>', 'metrics, /healthz and /readyz (default: 127.0.0.1:9190)')
    .option('--kafka <brokers>', 'deliver to Kafka too: HOST:PORT, or several with commas between')
    .option('--topic <name>', 'the topic for --kafka (default: countersign.audit.v1)')
    .addHelpText(
      'after',
      `
Settings come from defaults, --config, environment variables (COUNTERSIGN_…) and flags, in rising order.
Exit status: 0 stopped with everything delivered, 1 could not start, 2 bad settings, 75 records stay in the spool, or
events have no record and the trail could not be told.

Example:
  countersign serve --policy deploy/envoy/policy --data ./countersign-data`,
    )
    .action((flags: ServeFlags) => serve(flags))
}

/** The settings that the flags stand for, nested as in the YAML file. */
export function settingsOf(flags: ServeFlags): Record<string, unknown> {
  const { config, policy, data, listen, admin, kafka, topic } = flags
  const sink = {
    type: 'kafka',
    ...(kafka === undefined ? {} : { brokers: kafka.split(',').map((broker) => broker.trim()) }),
    // A first look, often at a broker on its own; a server that is to keep its records has a file of settings.
    ...(kafka === undefined || config !== undefined ? {} : { topicCheck: 'warn' }),
    ...(topic === undefined ? {} : { topic }),
  }
  return {
    ...(policy === undefined ? {} : { policy: { dir: policy } }),
    ...(data === undefined ? {} : { data }),
    ...(listen === undefined ? {} : { listen }),
    ...(admin === undefined ? {} : { admin }),
    ...(kafka === undefined && topic === undefined ? {} : { sinks: { kafka: sink } }),
  }
}
