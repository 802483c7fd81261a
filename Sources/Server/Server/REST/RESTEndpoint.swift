internal import MartletEndpoints
internal import MartletHTTP
internal import MartletIO
internal import MartletMessages
internal import MartletPrimitives
internal import MartletWeb

/// `/api/v1`: the server, its streams and its clients, for administration. The resources are a file each; access is checked
/// here, for all of them.
internal final class RESTEndpoint {
  internal let shared: SharedServices
  internal let gathering: Gathering
  internal let context: LoopContext
  internal let messages: MessageHub
  internal let access: any AccessControl

  internal static let bodyLimit = 64 * 1024

  internal init(
    _ shared: SharedServices, gathering: Gathering, access: any AccessControl, messages: MessageHub, in context: LoopContext
  ) {
    self.messages = messages
    self.shared = shared
    self.gathering = gathering
    self.access = access
    self.context = context
  }

  /// Every operation there is.
  internal static let routes: [APIRoute] =
    ServerResource.routes + StreamsResource.routes + ChannelsResource.routes + FilesResource.routes + ClientsResource.routes
    + WebRTCResource.routes + TURNResource.routes + RoomsResource.routes + RevocationResource.routes + TURNCredentialResource.routes

  internal func add(to router: Router) {
    for route in Self.routes {
      router.on(route.method, route.pattern) { [unowned self] exchange, parameters in
        if route.isOpen { return route.handle(self, exchange, parameters) }
        self.authorize(exchange) { route.handle(self, exchange, parameters) }
      }
    }
    let document = OpenAPIDocument.json(Self.routes)
    router.on(.get, "/api/openapi.json") { exchange, _ in exchange.respond(.ok, json: document) }
  }

  /// Lets administrators through, and answers everybody else.
  internal func authorize(_ exchange: HTTPExchange, then: @escaping () -> Void) {
    let resource = String(exchange.request.target.path.drop { $0 == "/" })
    let request = exchange.accessRequest(.admin, on: resource, transport: "api")
    access.decide(request) { [weak self] decision in
      guard !exchange.isFinished else { return }
      switch decision {
      case .allowed: then()
      case .denied(let reason, let isFinal):
        self?.context.log(
          .warning, "api", "\(exchange.request.method) \(exchange.request.target): \(reason)", ["peer": "\(exchange.remote)"])
        exchange.deny(request, reason, isFinal: isFinal)
      }
    }
  }
}
