internal import MartletCrypto
internal import MartletHTTP
internal import MartletICE
internal import MartletIO
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletRTP
internal import MartletSCTP
package import MartletWeb
internal import MartletWebRTC

/// `POST /diag/datachannel`: an offer is answered, and its data channels do as their labels say. `echo` sends everything back, `sink`
/// counts and answers the text `report` with the bytes it got, `source` sends as fast as it may.
internal final class DataChannelDiagnosis: WebRTCSession, PeerSessionHandler {
  internal let id: String
  internal let peer: PeerSession
  internal let resource: String
  internal var etag: String { "\"\(peer.transport.localCredentials.fragment)\"" }
  private let listener: WebRTCListener
  private var labels: [UInt16: String] = [:]
  private var received: [UInt16: Int] = [:]
  /// Channels whose echo waits for room.
  private var waiting: UInt16?
  private var isEnded = false

  private static let piece = Slice([UInt8](repeating: 0x6d, count: 16 << 10))
  private static let lowWater = 256 << 10

  internal init(_ id: String, peer: PeerSession, listener: WebRTCListener) {
    self.id = id
    self.peer = peer
    self.listener = listener
    resource = "/diag/datachannel/" + id
    peer.handler = self
  }

  internal func session(_ session: PeerSession, didReceive event: DataChannelEvent) {
    switch event {
    case .opened(let channel, let options):
      labels[channel] = options.label
      session.setLowThreshold(Self.lowWater, of: channel)
      if options.label == "source" { fill(channel) }
    case .message(let channel, let kind, let payload): receive(channel, kind, payload)
    case .bufferedAmountLow(let channel): if labels[channel] == "source" { fill(channel) }
    case .closed(let channel): (labels[channel], received[channel]) = (nil, nil)
    case .ended: end("the association ended")
    case .connected, .open: break
    }
  }

  private func receive(_ channel: UInt16, _ kind: DataChannelKind, _ payload: Slice) {
    switch labels[channel] {
    case "sink":
      received[channel, default: 0] += payload.count
      guard kind == .text, payload == Slice(Array("report".utf8)) else { return }
      // The question is not counted.
      let count = received[channel, default: 0] - payload.count
      answer(channel, .text, Slice(Array(String(count).utf8)))
    case "echo": answer(channel, kind, payload)
    default: break
    }
  }

  private func answer(_ channel: UInt16, _ kind: DataChannelKind, _ payload: Slice) {
    do throws(DataChannelError) {
      // What is not taken is not read any more either, until there is room.
      guard try !peer.send(kind, payload, on: channel) else { return }
      waiting = channel
      peer.isDataPaused = true
    } catch { peer.closeChannel(channel) }
  }

  private func fill(_ channel: UInt16) {
    do throws(DataChannelError) { while try peer.send(.binary, Self.piece, on: channel) {} } catch {}
  }

  internal func sessionDidReceiveBatch(_ session: PeerSession) {
    guard let channel = waiting, session.bufferedAmount(of: channel) < Self.lowWater else { return }
    waiting = nil
    session.isDataPaused = false
    session.settleSoon()
  }

  internal func session(_ session: PeerSession, didReceive event: PeerMedia.Event) {}

  internal func session(_ session: PeerSession, didChange state: PeerTransport.State) {
    switch state {
    case .failed: end(session.transport.failure ?? "failed")
    case .closed: end("closed by the peer")
    case .new, .connecting, .connected, .disconnected: break
    }
  }

  internal func end(_ reason: String) {
    guard !isEnded else { return }
    isEnded = true
    listener.context.log(.info, "diag", "a data channel session ended: \(reason)")
    peer.close()
    listener.didEnd(self)
  }
}

extension WHIPEndpoint {
  /// Registers the test endpoint, for servers with `--diagnostics`.
  package func addDiagnosis(to router: Router) {
    router.on(.post, "/diag/datachannel") { [self] exchange, _ in
      guard hasRoom(exchange) else { return }
      exchange.collectBody(limit: Self.maximumOffer) { [self] body in
        do throws(SessionAnswer.Failure) {
          let answer = try SessionAnswer(String(decoding: body, as: UTF8.self), for: .data, random: &listener.random)
          guard let channel = answer.dataChannel, let (peer, text) = connect(exchange, answer) else { return }
          peer.enableDataChannels(
            port: channel.port, largestMessage: Int(clamping: channel.maximumMessage == 0 ? 1 << 30 : channel.maximumMessage),
            isClient: answer.role == .client, random: listener.random)
          let session = DataChannelDiagnosis(listener.makeID(), peer: peer, listener: listener)
          listener.sessions[session.id] = session
          peer.settle()
          exchange.respond(.created, ["Content-Type": "application/sdp", "Location": session.resource], Slice(Array(text.utf8)))
        } catch { exchange.refuse(.badRequest, "\(error)") }
      }
    }
    router.on(.delete, "/diag/datachannel/{id}") { [self] exchange, parameters in close(exchange, parameters["id"]) }
  }
}
