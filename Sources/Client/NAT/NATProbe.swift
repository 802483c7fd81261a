internal import MartletIO
internal import MartletPrimitives
internal import MartletSTUN

/// The two sockets and the timer of a discovery, on the loop.
internal final class NATProbe: LoopObject, UDPSocketHandler {
  private let context: LoopContext
  private let answer: Inbox<NATReport, NATDiscovery.Failure>
  private var sockets: (main: UDPSocket, second: UDPSocket)?
  private var discovery: NATBehaviorDiscovery?
  private var timer: SlabID?

  internal init(in context: LoopContext, answer: Inbox<NATReport, NATDiscovery.Failure>) {
    self.context = context
    self.answer = answer
  }

  internal func begin(_ host: String, _ port: UInt16) {
    context.resolve(host) { [weak self] result in
      switch result {
      // Behaviour discovery is about NATs, which IPv4 has.
      case .success(let addresses): self?.open(SocketAddress(ip: addresses.first { $0.isV4 } ?? addresses.first ?? .anyV4, port: port))
      case .failure(let error): self?.fail("\(error)")
      }
    }
  }

  private func open(_ server: SocketAddress) {
    let any = SocketAddress(ip: server.ip.isV4 ? .anyV4 : .anyV6, port: 0)
    do throws(SystemError) {
      let main = try UDPSocket(any, in: context, buffer: Self.buffer)
      sockets = (main, try UDPSocket(any, in: context, buffer: Self.buffer))
      main.handler = self
      discovery = NATBehaviorDiscovery(
        server: server, locals: NetworkInterfaces.addresses(v6: true), port: main.local.port, random: .system, now: context.now)
      proceed()
    } catch { fail("\(error)") }
  }

  private static let buffer = 64 << 10

  internal func socket(_ socket: UDPSocket, didReceive datagram: UnsafeMutableRawBufferPointer, from peer: SocketAddress, ecn: UInt8) {
    // What nobody asked for is none of our business.
    try? discovery?.receive(UnsafeRawBufferPointer(datagram).bytes, from: peer, now: context.now)
  }

  internal func socketDidReceiveBatch(_ socket: UDPSocket) { proceed() }

  /// Sends what there is to send, and answers at the end.
  private func proceed() {
    guard let sockets, discovery != nil else { return }
    while let transmit = discovery?.pollTransmit() {
      (transmit.socket == .main ? sockets.main : sockets.second).send(transmit.bytes.span.bytes, to: transmit.to)
    }
    if let timer { context.cancel(timer) }
    timer = nil
    if let result = discovery?.result {
      answer.put(NATReport(result), cost: 1)
      answer.finish()
      return handleIsGone()
    }
    guard let deadline = discovery?.deadline else { return }
    timer = context.schedule(at: deadline) { [weak self] in self?.wake() }
  }

  private func wake() {
    timer = nil
    discovery?.timeout(now: context.now)
    proceed()
  }

  private func fail(_ reason: String) { answer.finish(.unavailable(reason)) }

  internal func handleIsGone() {
    if let timer { context.cancel(timer) }
    (timer, discovery) = (nil, nil)
    sockets?.main.close()
    sockets?.second.close()
    sockets = nil
  }
}
