internal import MartletICE
internal import MartletIO
internal import MartletPrimitives
internal import MartletSTUN

/// Resolves the names that browsers signal in place of their addresses, by multicast DNS over IPv4; the system's resolver often knows no
/// such names. It has sockets only while somebody waits.
final class MulticastResolver: UDPSocketHandler {
  private struct Question {
    var query: MulticastQuery
    var waiting: [(IPAddress?) -> Void]
  }

  private let context: LoopContext
  private var questions: [Question] = []
  /// One for each address of this machine: the kernel sends to the group over the interface that has it. Answers to us come there.
  private var askers: [UDPSocket] = []
  /// Browsers answer to the whole group, whoever asks.
  private var listener: UDPSocket?
  private var random = RandomSource.system
  private var timer: SlabID?

  private static let maximumQuestions = 64
  private static let maximumWaiting = 64
  private static let maximumAddresses = 12
  /// A few answers fit.
  private static let buffer = 64 << 10

  init(in context: LoopContext) { self.context = context }

  /// Calls `then` later, never from inside; with `nil` when nobody answers or too much is asked already.
  func resolve(_ name: DNSName, then: @escaping (IPAddress?) -> Void) {
    if let index = questions.firstIndex(where: { $0.query.name == name }), questions[index].waiting.count < Self.maximumWaiting {
      return questions[index].waiting.append(then)
    }
    guard questions.count < Self.maximumQuestions else { return context.atEndOfTurn { then(nil) } }
    if questions.isEmpty { open() }
    let query = MulticastQuery(name, random: &random, now: context.now)
    questions.append(Question(query: query, waiting: [then]))
    ask(query)
    arm()
  }

  private func open() {
    let addresses = NetworkInterfaces.addresses(v6: false).prefix(Self.maximumAddresses)
    listener = try? UDPSocket(MulticastQuery.group, in: context, buffer: Self.buffer)
    listener?.handler = self
    for ip in addresses {
      guard let socket = try? UDPSocket(SocketAddress(ip: ip, port: 0), in: context, buffer: Self.buffer) else { continue }
      socket.handler = self
      askers.append(socket)
      // An interface without multicast costs its own neighbours alone.
      try? listener?.join(MulticastQuery.group.ip, on: ip)
    }
  }

  private func ask(_ query: MulticastQuery) {
    let request = query.request
    for socket in askers { socket.send(request.span.bytes, to: MulticastQuery.group) }
  }

  private func closeIfIdle() {
    guard questions.isEmpty else { return }
    for socket in askers { socket.close() }
    listener?.close()
    (askers, listener) = ([], nil)
  }

  // MARK: Answers

  func socket(_ socket: UDPSocket, didReceive datagram: UnsafeMutableRawBufferPointer, from peer: SocketAddress, ecn: UInt8) {
    guard peer.port == MulticastQuery.group.port, let message = try? DNSMessage(parsing: UnsafeRawBufferPointer(datagram).bytes) else {
      return
    }
    let delivery: MulticastQuery.Delivery = socket === listener ? .multicast : .unicast
    var answered: [(waiting: [(IPAddress?) -> Void], ip: IPAddress)] = []
    for index in questions.indices.reversed() {
      guard let ip = questions[index].query.receive(message, delivery) else { continue }
      answered.append((questions.remove(at: index).waiting, ip))
    }
    for (waiting, ip) in answered { for then in waiting { then(ip) } }
  }

  func socketDidReceiveBatch(_ socket: UDPSocket) { closeIfIdle() }

  // MARK: Time

  private func arm() {
    if let timer { context.cancel(timer) }
    timer = questions.compactMap(\.query.deadline).min().map { next in context.schedule(at: next) { [weak self] in self?.wake() } }
  }

  private func wake() {
    timer = nil
    var given: [(IPAddress?) -> Void] = []
    for index in questions.indices.reversed() {
      switch questions[index].query.timeout(now: context.now) {
      case .transmit: ask(questions[index].query)
      case .failed: given += questions.remove(at: index).waiting
      case .none: break
      }
    }
    for then in given { then(nil) }
    closeIfIdle()
    arm()
  }
}
