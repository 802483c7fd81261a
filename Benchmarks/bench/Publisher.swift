internal import MartletCodecs
internal import MartletContainers
internal import MartletIO
internal import MartletPrimitives
internal import MartletRTMP

/// An RTMP encoder whose frames carry a clock: 30 pictures a second with a key frame every two seconds, 43 sounds.
internal final class BenchPublisher: TCPConnectionHandler {
  private let context: LoopContext
  private var session: ClientSession
  private let bitrate: Int
  private var connection: TCPConnection?
  private var started: Instant?
  private var pictures = 0, sounds = 0
  private static let gop = 60, pictureRate = 30, soundRate = 43

  /// Baseline 1920x1080, made by x264: parameter sets that every muxer accepts.
  private static let configuration: [UInt8] = [
    0x01, 0x42, 0xC0, 0x28, 0xFF, 0xE1, 0x00, 0x1A, 0x67, 0x42, 0xC0, 0x28, 0xD9, 0x00, 0x78, 0x02, 0x27, 0xE5, 0xC0, 0x44, 0x00, 0x00,
    0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xF0, 0x3C, 0x60, 0xC9, 0x20, 0x01, 0x00, 0x05, 0x68, 0xCB, 0x83, 0xCB, 0x20,
  ]

  internal init(app: String, name: String, host: String, bitrate: Int, _ context: LoopContext) {
    self.context = context
    self.bitrate = bitrate
    var random = SystemRandomNumberGenerator()
    let configuration = ClientSessionConfiguration(
      app: app, tcURL: "rtmp://\(host)/\(app)", streamName: name, purpose: .publish(type: "live"))
    session = ClientSession(configuration, now: context.now, random: &random)
  }

  internal func connectionDidOpen(_ connection: TCPConnection) {
    self.connection = connection
    flush()
  }

  internal func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {
    guard (try? session.receive(bytes, now: context.now)) != nil else { return connection.close() }
    while let event = session.pollEvent() { if case .publishing = event { begin() } }
    flush()
  }

  internal func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) {
    context.log(.error, "publish", "the publisher's connection ended: \(reason)")
  }

  private func flush() {
    let output = session.takeOutput()
    if !output.isEmpty { connection?.write(output) }
  }

  private func begin() {
    _ = session.sendMedia(.video, timestamp: 0, Slice([0x17, 0, 0, 0, 0] + Self.configuration))
    _ = session.sendMedia(.audio, timestamp: 0, Slice([0xAF, 0, 0x12, 0x10]))
    started = context.now
    tick()
  }

  /// Sends what is due, then waits for the next due time.
  private func tick() {
    guard let started, connection?.isOpen == true else { return }
    let elapsed = (context.now - started).nanoseconds
    while Int64(pictures) * 1_000_000_000 / Int64(Self.pictureRate) <= elapsed { sendPicture() }
    while Int64(sounds) * 1_000_000_000 / Int64(Self.soundRate) <= elapsed { sendSound() }
    flush()
    let next = min(
      Int64(pictures) * 1_000_000_000 / Int64(Self.pictureRate), Int64(sounds) * 1_000_000_000 / Int64(Self.soundRate))
    context.schedule(at: started + TimeSpan(nanoseconds: next)) { [weak self] in self?.tick() }
  }

  private func sendPicture() {
    let isKey = pictures % Self.gop == 0
    let average = bitrate / 8 / Self.pictureRate
    let size = max(64, isKey ? average * 6 : average * (Self.gop - 6) / (Self.gop - 1))
    let stamp = Stamp(isKey: isKey, sent: context.now, sequence: pictures).bytes
    var body = ByteWriter(capacity: size + 16)
    body.append([isKey ? 0x17 : 0x27, 1, 0, 0, 0])
    body.u32(UInt32(size))
    body.u8(isKey ? 0x65 : 0x41)
    body.append(stamp)
    body.append([UInt8](repeating: 0xA5, count: size - 1 - stamp.count))
    _ = session.sendMedia(.video, timestamp: UInt32(pictures * 1000 / Self.pictureRate), body.slice)
    pictures += 1
  }

  private func sendSound() {
    _ = session.sendMedia(
      .audio, timestamp: UInt32(sounds * 1000 / Self.soundRate), Slice([0xAF, 1] + [UInt8](repeating: 0x5A, count: 340)))
    sounds += 1
  }
}
