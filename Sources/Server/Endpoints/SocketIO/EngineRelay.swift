internal import MartletHTTP
package import MartletIO
package import MartletPrimitives
package import MartletSocketIO
package import MartletWeb

/// What workers tell one another about Engine.IO sessions.
///
/// A session lives on the worker that opened it, and its id says which. The kernel deals connections out as it likes, so a
/// poll, a POST or a WebSocket may come in at another worker: the door. The door keeps the exchange or the WebSocket and hands
/// over what comes in; the home answers. What may be under way for one WebSocket is bounded in both directions.
package enum EngineRelayMessage: WorkerMessage {
  // From a door to the session's home.
  case poll(EngineAddress, HeldExchange)
  case pollGone(EngineAddress, HeldExchange)
  case beginPost(EngineAddress, HeldExchange)
  case endPost(EngineAddress, HeldExchange, Slice)
  case postGone(EngineAddress, HeldExchange)
  case attach(EngineAddress, HeldExchange, EngineLink)
  case received(EngineLink, [EngineLinkMessage])
  case taken(EngineLink, bytes: Int)
  case left(EngineLink)
  // From the home to a door.
  case frames(EngineLink, [Slice])
  case read(EngineLink, bytes: Int)
  case close(EngineLink, abruptly: Bool)
  /// Comes behind the frames that were sent before it.
  case refuse(HeldExchange, EngineRefusal, EngineLink?)
  // From any worker to the others.
  case broadcast(SocketIOBroadcast)

  package var droppableSize: Int? {
    switch self {
    case .endPost(_, _, let body): body.count
    case .broadcast(let broadcast): broadcast.size
    default: nil
    }
  }
}

/// A session, wherever it lives.
package struct EngineAddress: Hashable, Sendable {
  /// The endpoint's path.
  package let endpoint: String
  package let sid: String
}

/// One WebSocket whose session lives on another worker.
package struct EngineLink: Hashable, Sendable {
  package let door: Int
  internal let id: SlabID
}

package struct EngineLinkMessage: Sendable {
  internal let data: Slice
  internal let isBinary: Bool
}

/// The rings between all pairs of workers.
package typealias EngineMesh = WorkerMesh<EngineRelayMessage>

/// One worker's end of all that. Registered with its loop.
package final class EngineRelay {
  internal let context: LoopContext
  private let mesh: EngineMesh
  private var links: [Int: WorkerLink<EngineRelayMessage>] = [:]
  private var endpoints: [String: EngineEndpoint] = [:]
  internal var broadcasts: [String: (SocketIOBroadcast) -> Void] = [:]
  /// At the door.
  private var doors = Slab<EngineDoor>()
  /// At home.
  private var sockets: [EngineLink: RelayedSocket] = [:]

  package init(_ mesh: EngineMesh, in context: LoopContext) {
    self.mesh = mesh
    self.context = context
    for loop in mesh.loops where loop !== context.loop {
      links[loop.index] = WorkerLink(to: loop, mesh: mesh, in: context) { context, source in
        context.service(EngineRelay.self).drain(from: source)
      }
    }
  }

  internal var workers: Int { mesh.loops.count }
  /// Broadcasts that found no room on their way to another worker, and bodies of requests.
  package var dropped: Int { links.values.reduce(0) { $0 + $1.dropped } }

  internal func add(_ endpoint: EngineEndpoint) { endpoints[endpoint.path] = endpoint }

  /// Handles it here when this is the worker.
  /// - Returns: false when it was dropped: the way there is full.
  @discardableResult internal func send(_ message: EngineRelayMessage, to worker: Int) -> Bool {
    guard worker != context.loop.index else {
      handle(message)
      return true
    }
    return links[worker]?.send(message) ?? false
  }

  internal func sendToOthers(_ message: EngineRelayMessage) { for link in links.values { link.send(message) } }

  private func drain(from source: Int) {
    let ring = mesh.ring(from: source, to: context.loop.index)
    while let message = ring.pop() { handle(message) }
  }

  private func handle(_ message: EngineRelayMessage) {
    switch message {
    case .poll(let address, let ticket): endpoints[address.endpoint]?.poll(address, ticket)
    case .pollGone(let address, let ticket): endpoints[address.endpoint]?.connection(address.sid)?.pollGone(ticket)
    case .beginPost(let address, let ticket): endpoints[address.endpoint]?.beginPost(address, ticket)
    case .endPost(let address, let ticket, let body): endpoints[address.endpoint]?.connection(address.sid)?.endPost(ticket, body)
    case .postGone(let address, let ticket): endpoints[address.endpoint]?.connection(address.sid)?.postGone(ticket)
    case .attach(let address, let ticket, let link): attach(address, ticket, link)
    case .received(let link, let messages): sockets[link]?.receive(messages)
    case .taken(let link, let bytes): sockets[link]?.taken(bytes)
    case .left(let link): sockets.removeValue(forKey: link)?.didClose()
    case .frames(let link, let frames): doors[link.id]?.write(frames)
    case .read(let link, let bytes): doors[link.id]?.read(bytes)
    case .close(let link, let abruptly): doors[link.id]?.close(abruptly: abruptly)
    case .refuse(let ticket, let refusal, let link): EngineEndpoint.refuse(ticket, refusal, link, from: context)
    case .broadcast(let broadcast): broadcasts[broadcast.endpoint]?(broadcast)
    }
  }

  // MARK: WebSockets away from home

  /// At home: a WebSocket at another worker asks for a session of this one.
  private func attach(_ address: EngineAddress, _ ticket: HeldExchange, _ link: EngineLink) {
    guard let endpoint = endpoints[address.endpoint] else { return }
    let socket = RelayedSocket(link, self)
    guard endpoint.attach(address, ticket, socket, link) else { return }
    sockets[link] = socket
    ticket.answer { exchange in exchange.context.service(EngineRelay.self).open(link, exchange) }
  }

  internal func forget(_ link: EngineLink) { sockets[link] = nil }

  /// At the door: a place for a WebSocket that may come to be.
  internal func makeDoor(to home: Int, _ endpoint: EngineEndpoint) -> EngineLink {
    let door = EngineDoor(home: home, endpoint, self)
    let link = EngineLink(door: context.loop.index, id: doors.insert(door))
    door.link = link
    return link
  }

  /// The WebSocket will not come to be.
  internal func abandon(_ link: EngineLink) { doors[link.id]?.leave() }

  internal func removeDoor(_ link: EngineLink) { doors.remove(link.id) }

  private func open(_ link: EngineLink, _ exchange: HTTPExchange) {
    guard let door = doors[link.id] else { return exchange.refuse(.serviceUnavailable, "the session is gone") }
    door.open(exchange)
  }
}
