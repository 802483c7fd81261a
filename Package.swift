// swift-tools-version: 6.2
import PackageDescription

// The manifest reads as the layer diagram of ARCHITECTURE.md: an arrow points down, or sideways only where it is
// written here. `core` targets stand below the I/O line (no socket, clock, thread, lock, async, Foundation, Glibc).

let strict: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableExperimentalFeature("Lifetimes"),
  .treatAllWarnings(as: .error),
]

func module(
  _ name: String, _ folder: String, _ needs: [String], tested: Bool = true, vectors: Bool = false
) -> [Target] {
  // `CUV` is a C library as it stands; `Crypto` is `MartletCrypto`.
  let isC = { (name: String) in name.prefix(2).allSatisfy(\.isUppercase) && name.hasPrefix("C") }
  let dependencies = needs.map { need -> Target.Dependency in
    // Without the trait FFmpeg's libraries are not linked.
    if need == "CFFmpeg" { return .target(name: need, condition: .when(traits: ["Transcoding"])) }
    return .target(name: isC(need) ? need : "Martlet" + need)
  }
  let library = Target.target(
    name: "Martlet" + name, dependencies: dependencies, path: "Sources/\(folder)/\(name)", swiftSettings: strict)
  guard tested else { return [library] }
  return [
    library,
    .testTarget(
      name: name + "Tests", dependencies: [.target(name: "Martlet" + name), "TestSupport"] + dependencies,
      path: "Tests/\(name)Tests", exclude: vectors ? ["Vectors"] : [], swiftSettings: strict),
  ]
}

/// A state machine or codec below the I/O line.
/// - Parameter vectors: its tests keep files in a `Vectors` folder, read by path.
func core(_ name: String, _ needs: [String] = [], vectors: Bool = false) -> [Target] {
  module(name, "Protocols", ["Primitives"] + needs, vectors: vectors)
}

/// A module that touches sockets, threads or the clock.
func runtime(_ name: String, _ needs: [String]) -> [Target] {
  module(name, "Runtime", ["Primitives"] + needs)
}

/// Streams, channels, rooms: what protocols have in common. Loop-bound classes above the I/O line.
func hub(_ name: String, _ needs: [String]) -> [Target] {
  module(name, "Hubs", ["Primitives", "IO"] + needs)
}

/// The public clients, above the hubs of the same name and below the server, which uses them too.
func client() -> [Target] {
  let needs = ["Primitives", "IO", "Web", "WebRTC", "HTTP", "RTMP", "Containers", "Codecs", "Crypto", "STUN"].map { "Martlet" + $0 }
  let dependencies = needs.map { Target.Dependency.target(name: $0) }
  return [
    .target(name: "MartletClient", dependencies: dependencies, path: "Sources/Client", swiftSettings: strict),
    .testTarget(
      name: "ClientTests", dependencies: ["MartletClient", "MartletServer", "TestSupport"] + dependencies,
      path: "Tests/ClientTests", swiftSettings: strict),
  ]
}

/// Where protocols meet the hubs.
func server(_ name: String, _ needs: [String]) -> [Target] {
  module(name, "Server", ["Primitives"] + needs)
}

/// One of Debian's C libraries as a module map; each has exactly one importer.
func clib(_ name: String, _ pkgConfig: String, apt: String, brew: String) -> [Target] {
  [
    .systemLibrary(
      name: name, path: "Sources/Libraries/\(name)", pkgConfig: pkgConfig, providers: [.apt([apt]), .brew([brew])])
  ]
}

let libraries: [[Target]] = [
  clib("CUV", "libuv", apt: "libuv1-dev", brew: "libuv"),
  clib("COpenSSL", "openssl", apt: "libssl-dev", brew: "openssl@3"),
  clib("CNGHTTP2", "libnghttp2", apt: "libnghttp2-dev", brew: "libnghttp2"),
  clib("CYAML", "yaml-0.1", apt: "libyaml-dev", brew: "libyaml"),
  clib("CSQLite", "sqlite3", apt: "libsqlite3-dev", brew: "sqlite"),
  clib("CZlib", "zlib", apt: "zlib1g-dev", brew: "zlib"),
  clib("CFFmpeg", "libavcodec libavutil libswscale libswresample", apt: "libavcodec-dev", brew: "ffmpeg"),
  [.target(name: "CDashboard", path: "Sources/Libraries/CDashboard")],
  [.target(name: "CShims", path: "Sources/Libraries/CShims")],
]

let layers: [[Target]] = [
  [
    .target(name: "MartletPrimitives", path: "Sources/Primitives", swiftSettings: strict),
    .testTarget(
      name: "PrimitivesTests", dependencies: ["MartletPrimitives", "TestSupport"], path: "Tests/PrimitivesTests",
      swiftSettings: strict),
  ],
  core("Crypto", ["COpenSSL"], vectors: true),
  core("Codecs"),
  core("Containers", ["Codecs"], vectors: true),
  core("HTTP", ["Crypto", "CNGHTTP2", "CZlib"]),
  core("RTMP", ["Crypto"]),
  core("HLS", ["Codecs", "Containers"]),
  core("SocketIO", ["HTTP"]),
  core("STUN", ["Crypto"], vectors: true),
  core("SDP", vectors: true),
  core("RTP", ["Crypto", "Codecs"]),
  core("ICE", ["STUN", "Crypto"]),
  core("SCTP", ["Crypto"]),
  core("PeerEngine", ["ICE", "Crypto", "RTP", "SDP", "SCTP", "Codecs"]),
  // ──────── the I/O line ────────
  runtime("IO", ["Crypto", "CUV", "CShims"]),
  runtime("Storage", ["IO", "CSQLite"]),
  runtime("Transcode", ["IO", "Codecs", "CFFmpeg"]),
  hub("Media", ["Codecs"]),
  hub("Web", ["Crypto", "HTTP"]),
  hub("Messages", ["Storage"]),
  hub("Rooms", ["Messages"]),
  hub("WebRTC", ["PeerEngine", "ICE", "STUN", "RTP", "SDP", "SCTP", "Crypto", "Codecs"]),
  client(),
  server(
    "Endpoints",
    [
      "Client", "IO", "Web", "Media", "Messages", "Rooms", "WebRTC", "Codecs", "Containers", "HLS", "Crypto", "HTTP", "RTMP", "SocketIO",
      "PeerEngine", "ICE", "STUN", "RTP", "SDP", "SCTP", "Transcode", "CDashboard",
    ]),
  server(
    "Server",
    [
      "Client", "Endpoints", "IO", "Storage", "Web", "Media", "Messages", "Rooms", "WebRTC", "Codecs", "HTTP", "Crypto", "Transcode",
      "RTMP", "SocketIO", "STUN", "CYAML",
    ]),
]

let package = Package(
  name: "Martlet",
  products: [
    .library(name: "MartletClient", targets: ["MartletClient"]),
    .library(name: "MartletServer", targets: ["MartletServer"]),
    .library(name: "MartletWebRTC", targets: ["MartletWebRTC"]),
    .executable(name: "martlet", targets: ["martlet"]),
  ],
  traits: [
    .trait(name: "Transcoding", description: "The demo source, snapshots and bridges that need FFmpeg's libraries."),
    .default(enabledTraits: ["Transcoding"]),
  ],
  targets: libraries.flatMap { $0 } + layers.flatMap { $0 } + [
    .executableTarget(
      name: "martlet", dependencies: ["MartletServer", "MartletPrimitives"], path: "Sources/martlet",
      swiftSettings: strict),
    .target(name: "CAllocations", path: "Benchmarks/CAllocations"),
    .target(name: "CRelay", path: "Benchmarks/CRelay"),
    .executableTarget(
      name: "bench",
      dependencies: [
        "CAllocations", "CRelay", "MartletPrimitives", "MartletCodecs", "MartletContainers", "MartletHTTP", "MartletRTMP", "MartletIO",
        "MartletMedia", "MartletWebRTC", "MartletPeerEngine", "MartletCrypto", "MartletICE", "MartletRTP", "MartletSCTP", "MartletSDP",
        "MartletSTUN",
      ], path: "Benchmarks/bench", swiftSettings: strict),
    .target(name: "CTestClock", path: "Tests/CTestClock"),
    .target(
      name: "TestSupport", dependencies: ["MartletPrimitives", "CTestClock"], path: "Tests/TestSupport", exclude: ["FuzzEntries"],
      swiftSettings: strict),
    .testTarget(
      name: "TestSupportTests", dependencies: ["TestSupport", "MartletPrimitives"], path: "Tests/TestSupportTests",
      swiftSettings: strict),
    // Apart from TestSupport, so that a test of one parser does not wait for all of them.
    .target(
      name: "FuzzEntries",
      dependencies: [
        "MartletPrimitives", "MartletCrypto", "MartletCodecs", "MartletContainers", "MartletHTTP", "MartletRTMP", "MartletHLS",
        "MartletMedia", "MartletRooms", "MartletEndpoints", "MartletServer", "MartletSocketIO", "MartletSTUN", "MartletICE", "MartletSDP",
        "MartletRTP", "MartletSCTP", "MartletPeerEngine", "MartletClient",
      ], path: "Tests/TestSupport/FuzzEntries", swiftSettings: strict),
    .testTarget(name: "FuzzTests", dependencies: ["FuzzEntries"], path: "Tests/FuzzTests", swiftSettings: strict),
    // `Scripts/fuzz` builds it with libFuzzer; without, it replays single inputs.
    .executableTarget(name: "fuzz", dependencies: ["FuzzEntries"], path: "Fuzz/fuzz", swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
