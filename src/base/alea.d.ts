/** The one generator of seedrandom that is used; its types cover only the package's main entry. */
declare module 'seedrandom/lib/alea.js' {
  const alea: (seed: string) => () => number;
  export default alea;
}
