import MartletPeerEngine
import MartletSDP
import TestSupport
import Testing

/// Two applications that do as they please, with perfect negotiation (W3C WebRTC §10.7) over a channel that takes its time.
@Suite struct ConvergenceTests {
  private struct End {
    var peer: NegotiatingPeer
    let isPolite: Bool
    var ignoresOffer = false
    var inbox: [(type: SDPType, text: String)] = []
    var tracks = 0

    /// Makes an offer when there is something to say; answers what is to be sent.
    mutating func speak() throws -> (SDPType, String)? {
      guard peer.negotiation.signalingState == .stable, peer.negotiation.needsNegotiation else { return nil }
      let offer = try peer.negotiation.setLocalDescription()
      peer.drain()
      return (offer.type, offer.session.write())
    }

    mutating func hear() throws -> (SDPType, String)? {
      guard !inbox.isEmpty else { return nil }
      let (type, text) = inbox.removeFirst()
      ignoresOffer = !isPolite && peer.negotiation.isCollision(type)
      if ignoresOffer { return nil }
      try peer.negotiation.setRemoteDescription(type, try SessionDescription(text))
      peer.drain()
      guard type == .offer else { return nil }
      let answer = try peer.negotiation.setLocalDescription()
      peer.drain()
      return (answer.type, answer.session.write())
    }

    mutating func act(_ random: inout SeededRandom) throws {
      let live = peer.negotiation.transceivers.filter { !$0.isStopping }
      let some = live.randomElement(using: &random)?.id
      let directions: [MediaDirection] = [.sendrecv, .sendonly, .recvonly, .inactive]
      tracks += 1
      let kind = Bool.random(using: &random) ? TrackKind.audio : .video
      switch (Int.random(in: 0..<9, using: &random), some) {
      case (0, _), (1, _): try peer.negotiation.addTrack(kind, "track\(tracks)", streams: ["s\(tracks % 3)"])
      case (2, _): try peer.negotiation.addTransceiver(kind, directions.randomElement(using: &random) ?? .sendrecv)
      case (3, _): try peer.negotiation.openDataChannels()
      case (4, _): try peer.negotiation.restartICE()
      case (5, let id?): try peer.negotiation.removeTrack(id)
      case (6, let id?): try peer.negotiation.setDirection(id, directions.randomElement(using: &random) ?? .inactive)
      case (7, let id?): try peer.negotiation.stop(id)
      case (8, let id?): try peer.negotiation.setStreams(id, ["s\(tracks % 5)"])
      default: break
      }
      peer.drain()
    }
  }

  @Test(arguments: seeds(50)) func `both sides end with the same sections and directions`(_ seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    var ends = [
      End(peer: NegotiatingPeer("a", seed: seed), isPolite: true), End(peer: NegotiatingPeer("b", seed: seed + 1000), isPolite: false),
    ]
    for step in 0..<250 {
      let place = Int.random(in: 0...1, using: &random)
      // Towards the end they only talk.
      if step < 120, Int.random(in: 0..<4, using: &random) == 0 { try ends[place].act(&random) }
      let isSpeaking = Bool.random(using: &random)
      guard let message = isSpeaking ? try ends[place].speak() : try ends[place].hear() else { continue }
      ends[1 - place].inbox.append(message)
    }
    #expect(ends.allSatisfy { $0.inbox.isEmpty && !$0.peer.negotiation.needsNegotiation })
    expectAgreement(ends[0].peer, ends[1].peer)
    let mids = ends.map { Set($0.peer.negotiation.transceivers.compactMap(\.mid)) }
    #expect(mids[0] == mids[1] && ends.allSatisfy { end in end.peer.negotiation.transceivers.allSatisfy { $0.mid != nil } })
  }
}
