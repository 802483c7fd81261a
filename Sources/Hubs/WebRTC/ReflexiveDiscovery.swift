internal import MartletIO
package import MartletPrimitives
internal import MartletSTUN

/// Asks STUN servers how a socket of ours is seen from outside (RFC 8489), again and again: that also keeps the mapping of a NAT open.
package final class ReflexiveDiscovery {
  private enum Server {
    case asking(BindingQuery)
    case idle(until: Instant)
  }

  /// UDP mappings of NATs live for 30 s and more (RFC 4787 §4.3 asks for two minutes).
  private static let interval = TimeSpan.seconds(25)

  /// Hears what a server saw, on the loop's thread.
  package var learned: ((SocketAddress, _ server: SocketAddress) -> Void)?
  private let socket: UDPSocket
  private let neighbours: PeerNeighbours?
  private let context: LoopContext
  private var servers: [SocketAddress: Server] = [:]
  private var random = RandomSource.system
  private var timer: SlabID?

  package init(of socket: PeerSocket) {
    self.socket = socket.socket
    neighbours = socket.neighbours
    context = socket.socket.context
  }

  /// Asks these, from now on and again and again, and no others.
  package func ask(_ wanted: [SocketAddress]) {
    servers = servers.filter { wanted.contains($0.key) }
    for server in wanted where servers[server] == nil { begin(server) }
    arm()
  }

  package func stop() {
    servers = [:]
    if let timer { context.cancel(timer) }
  }

  private func begin(_ server: SocketAddress) {
    let query = BindingQuery(random: &random, now: context.now)
    servers[server] = .asking(query)
    socket.send(query.request.span.bytes, to: server)
  }

  /// - Returns: whether it was an answer that was waited for.
  internal func receive(_ datagram: RawSpan, from server: SocketAddress) -> Bool {
    guard case .asking(var query) = servers[server] else { return false }
    do throws(STUNError) {
      let answer = try query.receive(datagram)
      servers[server] = .idle(until: context.now + Self.interval)
      if case .mapped(let address) = answer {
        learned?(address, server)
        // All workers of a shared port ask, and the kernel takes every answer to the same one.
        neighbours?.sendToOthers(.mapped(address, by: server))
      }
      return true
    } catch { return false }
  }

  /// Another worker on the same port was answered.
  internal func learn(_ address: SocketAddress, from server: SocketAddress) {
    guard servers[server] != nil else { return }
    servers[server] = .idle(until: context.now + Self.interval)
    learned?(address, server)
  }

  private func arm() {
    let next = servers.values.compactMap { server -> Instant? in
      switch server {
      case .asking(let query): query.deadline
      case .idle(let until): until
      }
    }
    guard let next = next.min() else { return }
    if let timer { context.cancel(timer) }
    timer = context.schedule(at: next) { [weak self] in self?.wake() }
  }

  private func wake() {
    timer = nil
    let now = context.now
    for (address, server) in servers {
      switch server {
      case .idle(let until): if until <= now { begin(address) }
      case .asking(var query):
        let action = query.timeout(now: now)
        servers[address] = action == .failed ? .idle(until: now + Self.interval) : .asking(query)
        if action == .transmit { socket.send(query.request.span.bytes, to: address) }
      }
    }
    arm()
  }
}
