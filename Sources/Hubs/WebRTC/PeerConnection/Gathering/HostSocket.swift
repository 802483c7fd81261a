internal import MartletICE
internal import MartletIO
internal import MartletPrimitives
internal import MartletSTUN

/// A UDP socket on one address of this machine: a host candidate, what STUN servers see of it, and the relayed addresses that TURN
/// servers give it (RFC 8445 §5.1.1.2 has all of them share the socket).
final class HostSocket: UDPSocketHandler {
  let socket: UDPSocket
  let base: ICEBase
  /// With the relay policy nothing but the answers of servers is taken.
  private let takesPeers: Bool
  private unowned let gatherer: CandidateGatherer
  private var relays: [SocketAddress: Relay] = [:]
  /// Questions to STUN servers that are not answered yet.
  private var queries: [Query] = []

  private struct Query {
    var binding: BindingQuery
    let server: SocketAddress
    let url: ICEServerURL
  }

  init(_ ip: IPAddress, index: UInt32, takesPeers: Bool, of gatherer: CandidateGatherer, in context: LoopContext) throws(SystemError) {
    socket = try UDPSocket(SocketAddress(ip: ip, port: 0), in: context)
    base = ICEBase(socket: index, address: socket.local)
    self.takesPeers = takesPeers
    self.gatherer = gatherer
    socket.handler = self
  }

  var isAsking: Bool { !queries.isEmpty }

  func ask(_ server: SocketAddress, _ url: ICEServerURL, random: inout RandomSource, now: Instant) {
    guard !queries.contains(where: { $0.server == server }) else { return }
    let query = BindingQuery(.gathering, random: &random, now: now)
    queries.append(Query(binding: query, server: server, url: url))
    let request = query.request
    socket.send(request.span.bytes, to: server)
  }

  /// The server tells allocations apart by the socket they were asked for from (RFC 8656 §7.2).
  func hasRelay(at server: SocketAddress) -> Bool { relays[server].map { !$0.isOver } ?? false }

  func attach(_ relay: Relay, at server: SocketAddress) { relays[server] = relay }

  var deadline: Instant? { queries.compactMap(\.binding.deadline).min() }

  func timeout(now: Instant) {
    for index in queries.indices.reversed() {
      switch queries[index].binding.timeout(now: now) {
      case .transmit:
        let request = queries[index].binding.request
        socket.send(request.span.bytes, to: queries[index].server)
      case .failed:
        let query = queries.remove(at: index)
        gatherer.fail(query.url, .noAnswer, from: base.address)
      case .none: break
      }
    }
  }

  func close() {
    socket.flush()
    socket.close()
  }

  // MARK: UDPSocketHandler

  func socket(_ socket: UDPSocket, didReceive datagram: UnsafeMutableRawBufferPointer, from peer: SocketAddress, ecn: UInt8) {
    if takeAnswer(UnsafeRawBufferPointer(datagram).bytes, from: peer) { return }
    if relays[peer]?.receive(datagram) == true { return }
    if takesPeers { gatherer.session.receive(datagram, from: peer, on: base) }
  }

  private func takeAnswer(_ datagram: RawSpan, from server: SocketAddress) -> Bool {
    guard let index = queries.firstIndex(where: { $0.server == server }) else { return false }
    do throws(STUNError) {
      let answer = try queries[index].binding.receive(datagram)
      let query = queries.remove(at: index)
      switch answer {
      case .mapped(let address): gatherer.learn(address, of: base, from: server.ip)
      case .refused(let error): gatherer.fail(query.url, .refused(error), from: base.address)
      }
      return true
    } catch { return false }
  }

  func socketDidReceiveBatch(_ socket: UDPSocket) { gatherer.session.settle() }
}

extension ClientTransaction.Schedule {
  /// Sent at 0, 500, 1500, 3500 and 7500 ms and given up at 9.5 s: the end of the candidates waits for servers that do not answer.
  static let gathering = ClientTransaction.Schedule(initial: .milliseconds(500), requests: 5, lastWait: 4)
}
