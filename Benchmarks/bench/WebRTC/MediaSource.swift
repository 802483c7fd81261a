internal import MartletIO
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletRTP
internal import MartletSDP
internal import MartletWebRTC

/// A browser's camera and microphone as they are on the wire: VP8 at 30 pictures a second and Opus at 50 packets. A picture is split
/// as Chromium splits it: into the fewest packets of at most 1,100 bytes, all alike but for the last ones, which are a byte longer
/// where it does not come out even. A key frame comes when one is asked for.
internal final class MediaSource: LoadRole {
  private struct Sent {
    let sequence: UInt16
    let timestamp: UInt32
    let marker: Bool
    let payload: Slice
  }

  /// Of one track.
  private struct Sender {
    let kind: TrackKind
    var sequence: UInt16 = 0
    var number: UInt64 = 0
    /// For who lost one.
    var recent = Deque<Sent>()
  }

  private let pictureBytes: Int
  private var video = Sender(kind: .video), audio = Sender(kind: .audio)
  private var isKeyWanted = true
  private var pictures: Int64 = 0, sounds: Int64 = 0
  private var started: Instant?

  private static let pictureRate: Int64 = 30, soundRate: Int64 = 50
  private static let largestPart = 1100, kept = 512

  /// - Parameter bitrate: of the pictures, in bits a second; 0 for sound alone.
  internal init(bitrate: Int) { pictureBytes = bitrate == 0 ? 0 : max(128, bitrate / 8 / Int(Self.pictureRate)) }

  private var hasPictures: Bool { pictureBytes > 0 }

  internal func prepare(_ negotiation: inout PeerNegotiation) throws(NegotiationError) {
    try negotiation.addTransceiver(.audio, .sendonly, track: "audio", streams: ["bench"])
    if hasPictures { try negotiation.addTransceiver(.video, .sendonly, track: "video", streams: ["bench"]) }
  }

  internal func didConnect(_ peer: LoadPeer) {
    guard started == nil else { return }
    started = peer.context.now
    tick(peer)
  }

  internal func peer(_ peer: LoadPeer, didReceive event: PeerMedia.Event) {
    switch event {
    case .keyFrameRequested: isKeyWanted = true
    case .missing(let track, let lost): retransmit(track, lost, peer)
    case .goodbye: break
    }
  }

  internal func stop(_ peer: LoadPeer) { started = nil }

  /// Sends what is due, then waits for the next due time.
  private func tick(_ peer: LoadPeer) {
    guard let started else { return }
    let elapsed = (peer.context.now - started).nanoseconds
    while hasPictures, pictures * 1_000_000_000 / Self.pictureRate <= elapsed { sendPicture(peer) }
    while sounds * 1_000_000_000 / Self.soundRate <= elapsed { sendSound(peer) }
    peer.session.settle()
    let sound = sounds * 1_000_000_000 / Self.soundRate
    let next = hasPictures ? min(pictures * 1_000_000_000 / Self.pictureRate, sound) : sound
    peer.context.schedule(at: started + TimeSpan(nanoseconds: next)) { [weak self, weak peer] in
      if let peer { self?.tick(peer) }
    }
  }

  private func sendPicture(_ peer: LoadPeer) {
    let count = (pictureBytes + Self.largestPart - 1) / Self.largestPart
    let (least, longer) = (pictureBytes / count, pictureBytes % count)
    let timestamp = UInt32(truncatingIfNeeded: pictures * 90_000 / Self.pictureRate)
    for index in 0..<count {
      var payload = ByteWriter(capacity: Self.largestPart + 8)
      writeDescriptor(isFirst: index == 0, into: &payload)
      if index == 0 { payload.append(isKeyWanted ? Self.keyFrame : Self.interFrame) }
      let part = least + (index >= count - longer ? 1 : 0)
      fill(&payload, to: part + Self.descriptorBytes, number: video.number, peer)
      send(payload.slice, timestamp: timestamp, marker: index == count - 1, of: &video, over: peer)
    }
    isKeyWanted = false
    pictures += 1
  }

  private func sendSound(_ peer: LoadPeer) {
    // A 20 ms packet of the CELT coder, stereo, one frame (RFC 6716 §3.1).
    var payload = ByteWriter(capacity: 80)
    payload.u8(0xFC)
    fill(&payload, to: 80, number: audio.number, peer)
    send(
      payload.slice, timestamp: UInt32(truncatingIfNeeded: sounds * 48_000 / Self.soundRate), marker: false, of: &audio, over: peer)
    sounds += 1
  }

  /// With a picture id of 15 bits (RFC 7741 §4.2), as browsers have it.
  private func writeDescriptor(isFirst: Bool, into payload: inout ByteWriter) {
    payload.u8(isFirst ? 0x90 : 0x80)
    payload.u8(0x80)
    payload.u16(0x8000 | UInt16(truncatingIfNeeded: pictures & 0x7FFF))
  }

  private static let descriptorBytes = 4
  /// RFC 6386 §9.1: the tag of a shown frame with a first partition of 64 bytes; start code, 640 x 480.
  private static let keyFrame: [UInt8] = [0x10, 0x08, 0x00, 0x9D, 0x01, 0x2A, 0x80, 0x02, 0xE0, 0x01]
  private static let interFrame: [UInt8] = [0x11, 0x08, 0x00]

  private func fill(_ payload: inout ByteWriter, to size: Int, number: UInt64, _ peer: LoadPeer) {
    let filler = size - payload.count - PacketStamp.size
    if filler > 0 { payload.append([UInt8](repeating: 0xA5, count: filler)) }
    PacketStamp(sent: peer.context.now, number: number).write(into: &payload)
  }

  // MARK: Packets

  private func send(_ payload: Slice, timestamp: UInt32, marker: Bool, of sender: inout Sender, over peer: LoadPeer) {
    guard let track = peer.tracks[sender.kind] else { return }
    let fields = peer.session.media.outgoing[track].forward(
      sequenceNumber: sender.sequence, timestamp: timestamp, marker: marker, payloadBytes: payload.count, source: 0, now: peer.context.now)
    if let fields { peer.session.send(fields, payload: payload.bytes, now: peer.context.now) }
    sender.recent.append(Sent(sequence: sender.sequence, timestamp: timestamp, marker: marker, payload: payload))
    if sender.recent.count > Self.kept { sender.recent.popFirst() }
    sender.sequence &+= 1
    sender.number += 1
  }

  private func retransmit(_ track: Int, _ lost: [UInt16], _ peer: LoadPeer) {
    let sender = peer.tracks[.video] == track ? video : audio
    for number in lost {
      guard let origin = peer.session.media.outgoing[track].origin(of: number),
        let packet = sender.recent.first(where: { $0.sequence == origin.sequenceNumber }),
        let fields = peer.session.media.outgoing[track].retransmit(number, timestamp: packet.timestamp, marker: packet.marker, source: 0)
      else { continue }
      peer.session.resend(fields, number: number, of: track, payload: packet.payload.bytes, now: peer.context.now)
    }
  }
}
