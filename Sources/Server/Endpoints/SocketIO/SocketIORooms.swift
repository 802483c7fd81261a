internal import MartletIO
internal import MartletPrimitives
package import MartletSocketIO

/// Who is in which room of one endpoint, on one worker. A broadcast is encoded once, for all sockets of all workers.
package final class SocketIORooms {
  private struct Room: Hashable {
    let namespace: String
    /// `nil` is everybody in the namespace.
    let name: String?
  }

  internal let context: LoopContext
  private let endpoint: String
  private let relay: EngineRelay
  private var members: [Room: [ObjectIdentifier: SocketIOSocket]] = [:]

  internal init(_ endpoint: String, _ relay: EngineRelay) {
    self.endpoint = endpoint
    self.relay = relay
    context = relay.context
    relay.broadcasts[endpoint] = { [unowned self] in self.deliver($0) }
  }

  /// Sends an event to a room, or to a whole namespace, on every worker. Where the way to another worker is full, its sockets
  /// miss it; `EngineRelay.dropped` counts.
  /// - Parameter sender: a socket's id, which does not get it.
  package func broadcast(_ event: SocketIOEvent, in namespace: String, to room: String? = nil, except sender: String? = nil) {
    let wire = event.packet(in: namespace).encoded
    let broadcast = SocketIOBroadcast(endpoint: endpoint, namespace: namespace, room: room, except: sender, wire: wire)
    deliver(broadcast)
    relay.sendToOthers(.broadcast(broadcast))
  }

  private func deliver(_ broadcast: SocketIOBroadcast) {
    guard let sockets = members[Room(namespace: broadcast.namespace, name: broadcast.room)] else { return }
    for socket in sockets.values where socket.id != broadcast.except { socket.send(broadcast.wire) }
  }

  /// Of this worker.
  package func sockets(in namespace: String, room: String? = nil) -> [SocketIOSocket] {
    members[Room(namespace: namespace, name: room)].map { Array($0.values) } ?? []
  }

  // MARK: From the sockets

  internal func enter(_ socket: SocketIOSocket) { add(socket, Room(namespace: socket.namespace, name: nil)) }
  internal func exit(_ socket: SocketIOSocket) { remove(socket, Room(namespace: socket.namespace, name: nil)) }
  internal func join(_ socket: SocketIOSocket, _ room: String) { add(socket, Room(namespace: socket.namespace, name: room)) }
  internal func leave(_ socket: SocketIOSocket, _ room: String) { remove(socket, Room(namespace: socket.namespace, name: room)) }

  private func add(_ socket: SocketIOSocket, _ room: Room) { members[room, default: [:]][ObjectIdentifier(socket)] = socket }

  private func remove(_ socket: SocketIOSocket, _ room: Room) {
    members[room]?[ObjectIdentifier(socket)] = nil
    if members[room]?.isEmpty == true { members[room] = nil }
  }
}

/// An event on its way to the other workers.
package struct SocketIOBroadcast: Sendable {
  internal let endpoint: String
  internal let namespace: String
  internal let room: String?
  internal let except: String?
  internal let wire: [EngineMessage]

  internal var size: Int { wire.reduce(0) { $0 + $1.frame.count } }
}
