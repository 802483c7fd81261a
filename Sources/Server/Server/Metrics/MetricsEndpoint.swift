internal import MartletHTTP
internal import MartletIO
internal import MartletPrimitives
internal import MartletWeb
internal import Synchronization

/// `/metrics` for Prometheus (administrators only, as it tells what the server does), `/healthz` and `/readyz` for whoever
/// starts and stops servers.
internal enum MetricsEndpoint {
  static func add(to router: Router, _ rest: RESTEndpoint) {
    let shared = rest.shared
    router.on(.get, "/healthz") { exchange, _ in exchange.respond(.ok, text: "ok") }
    router.on(.get, "/readyz") { exchange, _ in
      if shared.state.isReady.load(ordering: .acquiring) { return exchange.respond(.ok, text: "ready") }
      exchange.respond(.serviceUnavailable, text: "starting or draining")
    }
    router.on(.get, "/metrics") { [unowned rest] exchange, _ in
      rest.authorize(exchange) {
        rest.gathering.ask { context in
          context.service(WorkerServices.self).metrics(in: context)
        } then: { parts in
          let text = Metric.text(Metric.sum([ServerCollector.collect(shared)] + parts))
          let type = "text/plain; version=0.0.4; charset=utf-8"
          exchange.respond(.ok, ["Content-Type": type, "Cache-Control": "no-store"], Slice(Array(text.utf8)))
        }
      }
    }
  }
}
