internal import CRelay
internal import Glibc
internal import MartletPrimitives
internal import MartletSTUN

/// Clients of a TURN server, each with an allocation and a channel to a peer of its own on loopback. What they ask for is asked with
/// plain blocking sockets; the datagrams are moved by C, as the floor program's are.
internal enum TURNLoad {
  internal struct Account {
    let server: SocketAddress
    let username: String
    let password: String
  }

  private struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  /// Sends `rate` datagrams a second both ways through each of the pairs, or as many as go with a window where it is 0.
  internal static func relay(_ account: Account, pairs count: Int, load: relay_load, floor: Bool) throws {
    let pairs = try (0..<count).map { try floor ? floorPair(account.server, $0) : pair(account) }
    print("ready")
    fflush(nil)
    report(relay_pump(pairs, Int32(count), load))
  }

  internal static func bindings(_ server: SocketAddress, sockets count: Int, window: Int, seconds: Double) throws {
    let sockets = try (0..<count).map { _ in try UDP(to: server).descriptor }
    var random = RandomSource.system
    let request = STUNMessage(.request, .binding, TransactionID(random: &random)).encoded(fingerprint: false)
    print("ready")
    fflush(nil)
    report(relay_bindings(sockets, Int32(count), request, Int32(request.count), Int32(window), seconds))
  }

  /// Makes an allocation, with which comes what there is once, then at a line on the standard input the others, and keeps them until it
  /// ends. All are of one process: what an earlier one has left at the server would be in the way of those that get its ports.
  internal static func hold(_ account: Account, count: Int) throws {
    for index in 0...count {
      // Addresses of their own leave the ports of 127.0.0.1 to relays, and there are enough for any number.
      let source = SocketAddress(ip: .v4(0x7F01_0001 + UInt32(index / 1000)), port: 0)
      do { _ = try Session(account, over: UDP(to: account.server, from: source)) } catch {
        throw Failure(description: "allocation \(index): \(error)")
      }
      guard index == 0 || index == count else { continue }
      print(index == 0 ? "first" : "ready")
      fflush(nil)
      _ = readLine()
    }
  }

  private static func report(_ count: relay_count) {
    print(
      "{\"sent\": \(count.sent), \"received\": \(count.received), \"seconds\": \(count.seconds), \"loss\": \(1 - Double(count.received) / Double(max(1, count.sent))), \"load_cpu\": \(relay_cpu())}"
    )
  }

  private static func pair(_ account: Account) throws -> relay_pair {
    let (client, peer) = (try UDP(to: account.server), try UDP())
    let session = try Session(account, over: client)
    let channel = ChannelData.channels.lowerBound
    let address = SocketAddress(ip: .v4(0x7F00_0001), port: peer.port)
    _ = try session.ask(.channelBind, [.channelNumber(channel), .xorPeerAddress(address)])
    try peer.connect(to: session.relayed)
    return relay_pair(client: client.descriptor, peer: peer.descriptor, channel: channel)
  }

  private static func floorPair(_ server: SocketAddress, _ index: Int) throws -> relay_pair {
    let (client, peer) = (try UDP(to: server), try UDP())
    let channel = ChannelData.channels.lowerBound + UInt16(clamping: index)
    var hello = ByteWriter()
    hello.u16(channel)
    hello.u16(peer.port)
    guard let answer = client.ask(hello.bytes), answer.count == 2 else { throw Failure(description: "the floor program does not answer") }
    try peer.connect(to: SocketAddress(ip: .v4(0x7F00_0001), port: UInt16(answer[0]) << 8 | UInt16(answer[1])))
    return relay_pair(client: client.descriptor, peer: peer.descriptor, channel: channel)
  }

  /// A socket that a question can be asked over. It stays open to the end of the process.
  private final class UDP {
    let descriptor: Int32

    init(to server: SocketAddress? = nil, from source: SocketAddress = SocketAddress(ip: .v4(0x7F00_0001), port: 0)) throws {
      descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
      guard descriptor >= 0 else { throw Failure(description: "no socket: \(String(cString: strerror(errno)))") }
      var room: Int32 = 4 << 20
      setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &room, 4)
      _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
      var own = Self.kernel(source)
      _ = withUnsafePointer(to: &own) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, Self.size) } }
      if let server { try connect(to: server) }
    }

    var port: UInt16 {
      var (name, size) = (sockaddr_in(), Self.size)
      _ = withUnsafeMutablePointer(to: &name) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
      }
      return UInt16(bigEndian: name.sin_port)
    }

    func connect(to address: SocketAddress) throws {
      var target = Self.kernel(address)
      let done = withUnsafePointer(to: &target) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(descriptor, $0, Self.size) }
      }
      guard done == 0 else { throw Failure(description: "connect to \(address): \(String(cString: strerror(errno)))") }
    }

    /// Asks up to five times, a second each.
    /// - Parameter isAnswer: false for what answers an earlier question.
    func ask(_ question: [UInt8], isAnswer: (ArraySlice<UInt8>) -> Bool = { _ in true }) -> [UInt8]? {
      var answer = [UInt8](repeating: 0, count: 2048)
      for _ in 0..<5 {
        send(descriptor, question, question.count, 0)
        var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        while poll(&wait, 1, 1000) > 0 {
          let count = recv(descriptor, &answer, answer.count, 0)
          if count > 0, isAnswer(answer.prefix(count)) { return Array(answer.prefix(count)) }
        }
      }
      return nil
    }

    private static let size = socklen_t(MemoryLayout<sockaddr_in>.size)

    private static func kernel(_ address: SocketAddress) -> sockaddr_in {
      var result = sockaddr_in()
      result.sin_family = sa_family_t(AF_INET)
      result.sin_port = address.port.bigEndian
      if case .v4(let value) = address.ip { result.sin_addr.s_addr = value.bigEndian }
      return result
    }
  }

  /// An allocation, and what its requests are signed with.
  private final class Session {
    private let socket: UDP
    private let account: Account
    private var random = RandomSource.system
    private var challenge: (realm: String, nonce: String, key: STUNKey)?
    private(set) var relayed = SocketAddress(ip: .anyV4, port: 0)

    init(_ account: Account, over socket: UDP) throws {
      (self.account, self.socket) = (account, socket)
      let allocated = try ask(.allocate, [.requestedTransport(17)])
      guard let address = allocated.xorRelayedAddress else { throw Failure(description: "no relayed address") }
      relayed = address
    }

    func ask(_ method: STUNMethod, _ attributes: [STUNAttribute]) throws -> STUNMessage {
      for _ in 0..<3 {
        let proof: [STUNAttribute] = challenge.map { [.username(account.username), .realm($0.realm), .nonce($0.nonce)] } ?? []
        let request = STUNMessage(.request, method, TransactionID(random: &random), attributes + proof)
        let question = request.encoded(key: challenge?.key, fingerprint: false)
        // The transaction is behind type, length and cookie.
        guard let bytes = socket.ask(question, isAnswer: { $0.dropFirst(8).prefix(12) == question[8..<20] }) else {
          throw Failure(description: "no answer to \(method)")
        }
        let answer = try ReceivedSTUNMessage(parsing: bytes.span.bytes).message
        guard answer.kind == .error else { return answer }
        guard let error = answer.errorCode, [STUNErrorCode.unauthenticated, STUNErrorCode.staleNonce].contains(error.code),
          let realm = answer.realm, let nonce = answer.nonce,
          let key = STUNKey.longTerm(username: account.username, realm: realm, password: account.password)
        else { throw Failure(description: "\(method) refused: \(answer.errorCode.map { "\($0.code) \($0.reason)" } ?? "")") }
        challenge = (realm, nonce, key)
      }
      throw Failure(description: "\(method) is challenged again and again")
    }
  }
}
