package import MartletCrypto
package import MartletPrimitives

/// Why no connection came about. The sentence names the host and what its addresses answered.
package enum ConnectError: Error, Equatable, Sendable, CustomStringConvertible {
  case unresolved(host: String, SystemError)
  /// The address filter allowed none of the addresses.
  case forbidden(host: String, IPAddress)
  case failed(host: String, reason: String)
  case timedOut(host: String, after: TimeSpan)

  package var description: String {
    switch self {
    case .unresolved(_, let error): "\(error)"
    case .forbidden(let host, let address): "\(host) is \(address), an address that may not be connected to"
    case .failed(let host, let reason): "\(host) cannot be reached: \(reason)"
    case .timedOut(let host, let limit): "\(host) did not answer within \(limit.seconds) s"
    }
  }
}

/// Connects to a host by name: resolves it and tries its addresses, each with a head start over the next (RFC 8305). The
/// first that is established, over TLS if asked for, wins; the others are closed.
package final class Connector: TCPConnectionHandler {
  package struct Options {
    /// From the question for the name to the end of the TLS handshake.
    package var timeout = TimeSpan.seconds(10)
    package var headStart = TimeSpan.milliseconds(250)
    /// TLS as a client; the host is asked for and verified.
    package var tls: TLSContext?
    /// Asked for each address before it is connected to.
    package var allows: ((IPAddress) -> Bool)?

    package init() {}
  }

  private let host: String
  private let options: Options
  private let context: LoopContext
  private var then: ((Result<TCPConnection, ConnectError>) -> Void)?
  private var waiting: [SocketAddress] = []
  private var attempts: [TCPConnection] = []
  private var lastReason = "it has no address"
  private var forbidden: IPAddress?
  private var timers: [SlabID] = []

  /// Begins at once and calls `then` once, never before this returns. The receiver sets the connection's handler before it
  /// returns.
  package init(
    to host: String, port: UInt16, _ options: Options = Options(), in context: LoopContext,
    then: @escaping (Result<TCPConnection, ConnectError>) -> Void
  ) {
    self.host = host
    self.options = options
    self.context = context
    self.then = then
    timers.append(
      context.schedule(after: options.timeout) { [weak self] in self?.finish(.failure(.timedOut(host: host, after: options.timeout))) })
    context.resolve(host) { [weak self] result in
      guard let self, self.then != nil else { return }
      switch result {
      case .failure(let error): self.finish(.failure(.unresolved(host: host, error)))
      case .success(let addresses): self.begin(Self.inTurn(addresses).map { SocketAddress(ip: $0, port: port) })
      }
    }
  }

  /// Gives up without calling back.
  package func cancel() {
    then = nil
    abandon(keeping: nil)
  }

  /// The families in turn, beginning with the one that the system prefers (RFC 8305 §4).
  private static func inTurn(_ addresses: [IPAddress]) -> [IPAddress] {
    func isV6(_ address: IPAddress) -> Bool { if case .v6 = address { true } else { false } }
    guard let first = addresses.first else { return [] }
    let preferred = addresses.filter { isV6($0) == isV6(first) }
    let others = addresses.filter { isV6($0) != isV6(first) }
    return (0..<max(preferred.count, others.count)).flatMap { preferred.dropFirst($0).prefix(1) + others.dropFirst($0).prefix(1) }
  }

  private func begin(_ addresses: [SocketAddress]) {
    waiting = addresses.filter { options.allows?($0.ip) ?? true }
    if waiting.isEmpty { forbidden = addresses.first?.ip }
    tryNext()
  }

  private func tryNext() {
    guard then != nil else { return }
    while !waiting.isEmpty {
      let address = waiting.removeFirst()
      do {
        let secure: SecureLayer? = if let tls = options.tls { try SecureLayer(tls, serverName: host) } else { nil }
        attempts.append(try TCPConnection(connectingTo: address, secure: secure, in: context, handler: self))
        break
      } catch {
        lastReason = "\(error)"
      }
    }
    if attempts.isEmpty { return fail() }
    guard !waiting.isEmpty else { return }
    timers.append(context.schedule(after: options.headStart) { [weak self] in self?.tryNext() })
  }

  private func fail() {
    let error: ConnectError = if let forbidden { .forbidden(host: host, forbidden) } else { .failed(host: host, reason: lastReason) }
    finish(.failure(error))
  }

  private func finish(_ result: Result<TCPConnection, ConnectError>) {
    guard let then = exchange(&then, with: nil) else { return }
    if case .success(let winner) = result { abandon(keeping: winner) } else { abandon(keeping: nil) }
    then(result)
  }

  private func abandon(keeping winner: TCPConnection?) {
    for timer in exchange(&timers, with: []) { context.cancel(timer) }
    waiting = []
    for attempt in exchange(&attempts, with: []) where attempt !== winner {
      attempt.handler = nil
      attempt.close()
    }
  }

  // MARK: TCPConnectionHandler

  package func connectionDidOpen(_ connection: TCPConnection) { finish(.success(connection)) }
  package func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {}

  package func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) {
    lastReason = "\(reason)"
    attempts.removeAll { $0 === connection }
    tryNext()
  }
}
