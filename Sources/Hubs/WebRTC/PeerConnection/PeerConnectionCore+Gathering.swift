internal import MartletICE
internal import MartletIO
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletSDP

// Candidates of this end.
extension PeerConnectionCore {
  func gather() {
    guard !hasGathered else { return }
    hasGathered = true
    var addresses = NetworkInterfaces.addresses(v6: true).filter { configuration.includesLoopback || !$0.isLoopback }
    if addresses.isEmpty { addresses = [.v4(0x7F00_0001)] }
    for (index, ip) in addresses.prefix(Self.maximumSockets).enumerated() {
      guard let socket = try? HostSocket(ip, index: UInt32(index), owner: self, in: context) else { continue }
      sockets.append(socket)
      session.attach(socket.socket, as: UInt32(index))
      let made = session.transport.addLocal(
        .host, socket.base.address, base: socket.base, preference: UInt16(65_535 - index), now: context.now)
      tell(made)
    }
    for server in configuration.iceServers.flatMap(\.urls) { ask(server) }
    finishGathering()
  }

  static let maximumSockets = 16

  /// `stun:HOST[:PORT]` (RFC 7064).
  func ask(_ url: String) {
    guard url.hasPrefix("stun:"), resolutions < 8 else { return }
    let rest = url.dropFirst(5)
    let colon = rest.hasSuffix("]") ? nil : rest.lastIndex(of: ":")
    let host = String(colon.map { rest[..<$0] } ?? rest)
    let port = colon.flatMap { UInt16(rest[rest.index(after: $0)...]) } ?? 3478
    resolutions += 1
    let id = id
    context.resolve(host) { [weak residents] result in residents?.connections[id]?.didResolve(try? result.get(), port) }
  }

  func didResolve(_ addresses: [IPAddress]?, _ port: UInt16) {
    resolutions -= 1
    for socket in sockets {
      guard let ip = addresses?.first(where: { $0.isV4 == socket.base.address.ip.isV4 }), !socket.base.address.ip.isLoopback else {
        continue
      }
      socket.ask(SocketAddress(ip: ip, port: port), random: &random, now: context.now)
    }
    session.ownDeadline = sockets.compactMap(\.deadline).min()
    finishGathering()
  }

  func didLearn(_ address: SocketAddress, of base: ICEBase, from server: IPAddress) {
    tell(session.transport.addLocal(.serverReflexive, address, base: base, server: server, now: context.now))
    finishGathering()
    session.settle()
  }

  func tell(_ candidate: ICECandidate?) {
    guard let candidate else { return }
    negotiation.addLocalCandidate(candidate)
    events.box.put(.candidate(PeerConnection.Candidate("\(candidate)", mid: negotiation.localDescription?.media.first?.mid, lineIndex: 0)))
  }

  func finishGathering() {
    guard resolutions == 0, !sockets.contains(where: \.isAsking) else { return }
    negotiation.endOfLocalCandidates()
    session.transport.endOfLocalCandidates(now: context.now)
    events.box.put(.candidate(nil))
  }
}
