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

func module(_ name: String, _ folder: String, _ needs: [String], tested: Bool = true) -> [Target] {
  // `CUV` is a C library as it stands; `Crypto` is `MartletCrypto`.
  let isC = { (name: String) in name.prefix(2).allSatisfy(\.isUppercase) && name.hasPrefix("C") }
  let dependencies = needs.map { Target.Dependency.target(name: isC($0) ? $0 : "Martlet" + $0) }
  let library = Target.target(
    name: "Martlet" + name, dependencies: dependencies, path: "Sources/\(folder)/\(name)", swiftSettings: strict)
  guard tested else { return [library] }
  return [
    library,
    .testTarget(
      name: name + "Tests", dependencies: [.target(name: "Martlet" + name), "TestSupport"] + dependencies,
      path: "Tests/\(name)Tests", swiftSettings: strict),
  ]
}

/// A state machine or codec below the I/O line.
func core(_ name: String, _ needs: [String] = []) -> [Target] {
  module(name, "Protocols", ["Primitives"] + needs)
}

/// A module that touches sockets, threads or the clock.
func runtime(_ name: String, _ needs: [String]) -> [Target] {
  module(name, "Runtime", ["Primitives"] + needs)
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
  clib("CZlib", "zlib", apt: "zlib1g-dev", brew: "zlib"),
  [.target(name: "CShims", path: "Sources/Libraries/CShims")],
]

let layers: [[Target]] = [
  [
    .target(name: "MartletPrimitives", path: "Sources/Primitives", swiftSettings: strict),
    .testTarget(
      name: "PrimitivesTests", dependencies: ["MartletPrimitives", "TestSupport"], path: "Tests/PrimitivesTests",
      swiftSettings: strict),
  ],
  core("Crypto", ["COpenSSL"]),
  core("Codecs"),
  core("HTTP", ["Crypto", "CZlib"]),

]

let package = Package(
  name: "Martlet",
  targets: libraries.flatMap { $0 } + layers.flatMap { $0 } + [
    .target(
      name: "TestSupport", dependencies: ["MartletPrimitives"], path: "Tests/TestSupport", swiftSettings: strict)
  ],
  swiftLanguageModes: [.v6]
)
