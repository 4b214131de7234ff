/** The service under test. */
export const service = {
  address: process.env.ADDRESS!,
  headers: { Authorization: `Bearer ${process.env.API_KEY}` },
};
