internal import Glibc
internal import MartletCrypto
internal import MartletIO
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletSDP
internal import MartletWebRTC

/// WebRTC clients that are told by lines of JSON what to do, since how offers and answers travel is different with every server:
///
///     {"do": "offer", "peer": "v1", "role": "viewer"}             {"peer": "v1", "offer": "v=0…"}
///     {"do": "answer", "peer": "v1", "sdp": "v=0…"}
///     {"do": "accept", "peer": "v1", "role": "viewer", "sdp": …}  {"peer": "v1", "answer": "v=0…"}
///     {"do": "measure"}                                           counts from here on
///     {"do": "report"}                                            {"report": {"packets": …, "latency_ms": …}}
///     {"do": "stop"}, {"do": "close", "peer": "v1"}
///
/// Roles are `publisher` (with `bitrate`, 0 for sound alone), `viewer` (with `feedback` one that reports on every packet), `member`,
/// who publishes and watches `others`, and `data` (with `label` and `size`). Between the answers come lines of what happens, with the
/// monotonic clock: `{"peer": "v1", "is": "connected", "at": 123}`, so `video`, `key` and `audio` with a viewer's first packet of
/// each, `open` with a data channel, `report` with what a sink says it got, and `failed`.
internal final class PeerLoad {
  internal let context: LoopContext
  internal let ip: IPAddress
  internal let identity: DTLSIdentity
  internal let clock: PeerClock
  internal var random: RandomSource { .system }
  private var peers: [String: LoadPeer] = [:]
  private var measuredFrom: Instant?

  private init(_ ip: IPAddress, _ identity: DTLSIdentity, _ context: LoopContext) {
    self.ip = ip
    self.identity = identity
    self.context = context
    clock = PeerClock(in: context)
  }

  /// Obeys until the input ends.
  internal static func run(on ip: IPAddress) {
    let worker = Worker(EventLoop(index: 0), log: log) { context in
      guard let identity = try? DTLSIdentity(now: context.wallTime) else { return context.stop() }
      context.register(PeerLoad(ip, identity, context))
    }
    while let line = readLine() {
      guard let command = try? JSON(parsing: line) else { continue }
      worker.loop.post { $0.service(PeerLoad.self).obey(command) }
    }
    worker.loop.post { context in
      for peer in context.service(PeerLoad.self).peers.values { peer.close() }
      context.stop()
    }
    worker.join()
  }

  /// Past the buffers of the C library, whose locks the thread that waits for input holds.
  internal static func print(_ line: JSON) {
    let text = line.serialized + [UInt8(ascii: "\n")]
    var rest = text[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
      guard count > 0 else { return }
      rest = rest.dropFirst(count)
    }
  }

  private func obey(_ command: JSON) {
    let name = command["peer"]?.stringValue ?? ""
    do {
      switch command["do"]?.stringValue {
      case "offer": Self.print(["peer": .string(name), "offer": .string(try make(name, command).offer())])
      case "accept": Self.print(["peer": .string(name), "answer": .string(try make(name, command).accept(try description(command)))])
      case "answer": try peers[name]?.take(try description(command))
      case "measure":
        measuredFrom = context.now
        for peer in peers.values { peer.measure() }
      case "report": report()
      case "stop": for peer in peers.values { peer.stop() }
      case "close": peers.removeValue(forKey: name)?.close()
      default: Self.print(["peer": .string(name), "is": "failed", "reason": "no such command"])
      }
    } catch { Self.print(["peer": .string(name), "is": "failed", "reason": .string("\(error)")]) }
  }

  private func description(_ command: JSON) throws(SDPError) -> SessionDescription {
    try SessionDescription(command["sdp"]?.stringValue ?? "")
  }

  private func make(_ name: String, _ command: JSON) throws(SystemError) -> LoadPeer {
    let bitrate = Int(clamping: command["bitrate"]?.intValue ?? 1_500_000)
    let role: any LoadRole =
      switch command["role"]?.stringValue {
      case "publisher": MediaSource(bitrate: bitrate)
      case "member": RoomMember(bitrate: bitrate, others: Int(clamping: command["others"]?.intValue ?? 1))
      case "data":
        DataLoad(label: command["label"]?.stringValue ?? "idle", size: Int(clamping: command["size"]?.intValue ?? 16_384))
      default: MediaSink(hasVideo: bitrate > 0)
      }
    let peer = try LoadPeer(name, role, self, reportsPackets: command["feedback"]?.boolValue ?? false)
    peers[name] = peer
    return peer
  }

  private func report() {
    var totals = LoadTotals()
    for peer in peers.values { peer.report(into: &totals) }
    Self.print(["report": totals.report(seconds: measuredFrom.map { (context.now - $0).seconds } ?? 0)])
  }
}
