internal import Glibc
internal import MartletPrimitives

/// The kernel's own price: one thread that does one `send` to each viewer from one shared buffer, per message (interval 0)
/// or per interval, and nothing else. No protocol, no parsing, no loop library.
internal enum Floor {
  internal static func run(port: UInt16, bitrate: Int, intervalMilliseconds: Int, seconds: Int) {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var on: Int32 = 1
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, 4)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(listener, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
    guard bound == 0, listen(listener, 4096) == 0 else { return print("floor: cannot listen on \(port)") }
    _ = fcntl(listener, F_SETFL, O_NONBLOCK)
    // 73 messages a second: 30 pictures and 43 sounds.
    let perSecond = intervalMilliseconds == 0 ? 73 : 1000 / intervalMilliseconds
    let size = max(64, bitrate / 8 / perSecond)
    var viewers: [Int32] = []
    let start = now()
    var sequence = 0
    while now() - start < .seconds(seconds) {
      while true {
        let viewer = accept(listener, nil, nil)
        if viewer < 0 { break }
        setsockopt(viewer, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
        viewers.append(viewer)
      }
      let stamp = Stamp(isKey: true, sent: now(), sequence: sequence).bytes
      let message = stamp + [UInt8](repeating: 0xA5, count: size - min(size, stamp.count))
      for viewer in viewers { _ = send(viewer, message, message.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)) }
      sequence += 1
      let due = start + TimeSpan(nanoseconds: Int64(sequence) * 1_000_000_000 / Int64(perSecond))
      let wait = (due - now()).nanoseconds
      if wait > 0 { usleep(UInt32(wait / 1000)) }
    }
  }

  internal static func now() -> Instant {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Instant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
  }
}
